package store

import "container/heap"

// expiryQueue is a heap: what ends first is first.
type expiryQueue []*entry

func (q *expiryQueue) add(e *entry)    { heap.Push(q, e) }
func (q *expiryQueue) remove(e *entry) { heap.Remove(q, e.place) }

func (q expiryQueue) Len() int           { return len(q) }
func (q expiryQueue) Less(i, j int) bool { return q[i].expires < q[j].expires }

func (q expiryQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

func (q *expiryQueue) Push(x any) {
	e := x.(*entry)
	e.place = len(*q)
	*q = append(*q, e)
}

func (q *expiryQueue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	return e
}
