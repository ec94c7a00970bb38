package demo

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// maxPayments is how many payments the till remembers.
const maxPayments = 20

// till is PointOfSaleTerminal: whoever is signed in takes money, and each payment is approved on their phone before
// the request reaches it. It takes what it gets.
type till struct {
	site *site

	mu       sync.Mutex
	count    int
	payments []payment // newest first
}

type payment struct {
	Number   int    `json:"number"`
	Amount   int    `json:"amount"`
	Currency string `json:"currency"`
	By       string `json:"by"`
	At       string `json:"at"`
}

type tillPage struct {
	Config
	person
	Payments []payment
	Receipt  *payment // the one that was just taken
}

func (t *till) serve(w http.ResponseWriter, r *http.Request) {
	p := tillPage{Config: t.site.config, person: t.site.person(r)}
	receipt, _ := strconv.Atoi(r.URL.Query().Get("receipt"))
	t.mu.Lock()
	for _, paid := range t.payments {
		if paid.By != p.User {
			continue
		}
		if paid.Number == receipt {
			p.Receipt = &paid
		}
		p.Payments = append(p.Payments, paid)
	}
	t.mu.Unlock()
	t.site.page(w, http.StatusOK, "till.html", p)
}

// take is POST /payments.
func (t *till) take(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	amount, err := strconv.Atoi(r.PostFormValue("amount"))
	if err != nil || amount < 1 || amount > 1000 {
		http.Error(w, "the amount must be a whole number from 1 to 1000", http.StatusBadRequest)
		return
	}
	paid := payment{Amount: amount, Currency: "EUR", By: t.site.person(r).User, At: t.site.config.Now().UTC().Format(time.TimeOnly) + " UTC"}
	t.mu.Lock()
	t.count++
	paid.Number = t.count
	t.payments = append([]payment{paid}, t.payments[:min(len(t.payments), maxPayments-1)]...)
	t.mu.Unlock()
	if !wantsPage(r) {
		t.site.json(w, http.StatusCreated, paid)
		return
	}
	w.Header().Set("Location", "/"+Till+"/?receipt="+strconv.Itoa(paid.Number))
	w.WriteHeader(http.StatusSeeOther)
}
