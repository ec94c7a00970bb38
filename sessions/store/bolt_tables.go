package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// The buckets of the file, and the mark by which it is known as ours.
var (
	metaBucket  = []byte("doorward")
	entryBucket = []byte("entries") // key → expires (8) | version (8) | length of indexes (4) | indexes, each with its length (2) | value
	endBucket   = []byte("ends")    // expires (8) | key → nothing
	indexBucket = []byte("indexes") // length of index (2) | index | key → nothing
	formatKey   = []byte("format")
	format      = []byte("1")
)

// tables are the buckets within one transaction.
type tables struct{ entries, ends, indexes *bbolt.Bucket }

func tablesOf(tx *bbolt.Tx) tables {
	return tables{tx.Bucket(entryBucket), tx.Bucket(endBucket), tx.Bucket(indexBucket)}
}

// prepare makes the buckets of an empty file, and refuses a file that isn't ours.
func prepare(db *bbolt.DB) error {
	fresh := false
	err := db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(metaBucket)
		if meta == nil {
			first, _ := tx.Cursor().First()
			if fresh = first == nil; !fresh {
				return fmt.Errorf("%s is the file of another program; %s", db.Path(), moveAway)
			}
			return nil
		}
		if got := meta.Get(formatKey); string(got) != string(format) {
			return fmt.Errorf("%s has format %q, and this version of Doorward knows %q: another version made it; use that one, or %s", db.Path(), got, format, moveAway)
		}
		if t := tablesOf(tx); t.entries == nil || t.ends == nil || t.indexes == nil {
			return fmt.Errorf("%s is damaged (a table is missing); %s", db.Path(), moveAway)
		}
		return nil
	})
	if err != nil || !fresh {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket(metaBucket)
		if err != nil {
			return err
		}
		for _, name := range [][]byte{entryBucket, endBucket, indexBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return meta.Put(formatKey, format)
	})
}

var errDamaged = errors.New("a row is damaged")

// row is an entry as it lies in the file. Its bytes are valid within the transaction only.
type row struct {
	expires int64
	version uint64
	indexes []byte
	value   []byte
}

const rowHeader = 8 + 8 + 4

// get returns the row of a key, also if it has ended.
func (t tables) get(key string) (r row, found bool, err error) {
	raw := t.entries.Get([]byte(key))
	if raw == nil {
		return row{}, false, nil
	}
	if len(raw) < rowHeader {
		return row{}, false, errDamaged
	}
	n := binary.BigEndian.Uint32(raw[16:])
	if uint64(n) > uint64(len(raw)-rowHeader) {
		return row{}, false, errDamaged
	}
	return row{
		expires: int64(binary.BigEndian.Uint64(raw)),
		version: binary.BigEndian.Uint64(raw[8:]),
		indexes: raw[rowHeader : rowHeader+n],
		value:   raw[rowHeader+n:],
	}, true, nil
}

// find returns the row of a key that hasn't ended.
func (t tables) find(key string, now time.Time) (row, bool, error) {
	r, found, err := t.get(key)
	if err != nil || !found || now.UnixNano() >= r.expires {
		return row{}, false, err
	}
	return r, true, nil
}

// set puts r in the place of whatever stood under key, and gives it the next version.
func (t tables) set(key string, r row) error {
	r.indexes = slices.Clone(r.indexes) // they may lie in pages that the removal moves
	if err := t.remove(key); err != nil {
		return err
	}
	version, err := t.entries.NextSequence()
	if err != nil {
		return err
	}
	raw := make([]byte, 0, rowHeader+len(r.indexes)+len(r.value))
	raw = binary.BigEndian.AppendUint64(raw, uint64(r.expires))
	raw = binary.BigEndian.AppendUint64(raw, version)
	raw = binary.BigEndian.AppendUint32(raw, uint32(len(r.indexes)))
	raw = append(raw, r.indexes...)
	raw = append(raw, r.value...)
	names, err := unpackIndexes(r.indexes)
	if err != nil {
		return err
	}
	for _, index := range names {
		if err := t.indexes.Put(indexKey(index, key), nil); err != nil {
			return err
		}
	}
	return errors.Join(t.ends.Put(endKey(r.expires, key), nil), t.entries.Put([]byte(key), raw))
}

// remove deletes a key from all tables; one that isn't there is no error.
func (t tables) remove(key string) error {
	r, found, err := t.get(key)
	if err != nil || !found {
		return err
	}
	names, err := unpackIndexes(r.indexes)
	if err != nil {
		return err
	}
	for _, index := range names {
		if err := t.indexes.Delete(indexKey(index, key)); err != nil {
			return err
		}
	}
	return errors.Join(t.ends.Delete(endKey(r.expires, key)), t.entries.Delete([]byte(key)))
}

// list returns the living keys of an index, at most limit, behind after.
func (t tables) list(index, after string, limit int, now time.Time) (keys []string, err error) {
	prefix := indexKey(index, "")
	from := indexKey(index, after)
	c := t.indexes.Cursor()
	for k, _ := c.Seek(from); k != nil && len(keys) < limit; k, _ = c.Next() {
		key, ok := cutPrefix(k, prefix)
		if !ok {
			break
		}
		if key == after {
			continue
		}
		_, living, err := t.find(key, now)
		if err != nil {
			return nil, err
		}
		if living {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// sweep removes at most limit entries that have ended, and returns their keys.
func (t tables) sweep(now time.Time, limit int) (ended []string, err error) {
	c := t.ends.Cursor() // which is lost when its bucket changes: first look, then delete
	for k, _ := c.First(); hasEnded(k, now) && len(ended) < limit; k, _ = c.Next() {
		ended = append(ended, string(k[8:]))
	}
	for _, key := range ended {
		if err := t.remove(key); err != nil {
			return nil, err
		}
	}
	return ended, nil
}

func (t tables) anyEnded(now time.Time) bool {
	k, _ := t.ends.Cursor().First()
	return hasEnded(k, now)
}

func hasEnded(endKey []byte, now time.Time) bool {
	return len(endKey) > 8 && int64(binary.BigEndian.Uint64(endKey)) <= now.UnixNano()
}

func endKey(expires int64, key string) []byte {
	k := make([]byte, 0, 8+len(key))
	k = binary.BigEndian.AppendUint64(k, uint64(expires))
	return append(k, key...)
}

// indexKey begins with the length, so that no index is the beginning of another one.
func indexKey(index, key string) []byte {
	k := make([]byte, 0, 2+len(index)+len(key))
	k = binary.BigEndian.AppendUint16(k, uint16(len(index)))
	k = append(k, index...)
	return append(k, key...)
}

func cutPrefix(k, prefix []byte) (string, bool) {
	if len(k) < len(prefix) || string(k[:len(prefix)]) != string(prefix) {
		return "", false
	}
	return string(k[len(prefix):]), true
}

func packIndexes(names []string) (packed []byte) {
	for _, n := range names {
		packed = binary.BigEndian.AppendUint16(packed, uint16(len(n)))
		packed = append(packed, n...)
	}
	return packed
}

func unpackIndexes(packed []byte) (names []string, err error) {
	for len(packed) > 0 {
		if len(packed) < 2 {
			return nil, errDamaged
		}
		n := int(binary.BigEndian.Uint16(packed))
		if n == 0 || len(packed) < 2+n {
			return nil, errDamaged
		}
		names = append(names, string(packed[2:2+n]))
		packed = packed[2+n:]
	}
	return names, nil
}
