package store_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/sessions/store"
)

func BenchmarkStore(b *testing.B) {
	value := bytes.Repeat([]byte("s"), 3<<10) // a session with its tokens
	for name, open := range map[string]func(*testing.B) store.Store{
		"memory": func(*testing.B) store.Store {
			return store.NewMemory(store.MemoryConfig{MaxBytes: 4 << 30}, store.Deps{})
		},
		"bolt": func(b *testing.B) store.Store {
			return must(store.OpenBolt(store.BoltConfig{Path: filepath.Join(b.TempDir(), "b.db")}, store.Deps{}))(b)
		},
	} {
		b.Run(name, func(b *testing.B) {
			s := open(b)
			b.Cleanup(func() { _ = s.Close() })
			for i := range 1000 {
				if err := s.Put(b.Context(), fmt.Sprint("k", i), value, time.Hour, "user"+fmt.Sprint(i%100)); err != nil {
					b.Fatal(err)
				}
			}
			b.Run("Get", func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if items, err := s.Get(b.Context(), "k"+strconv.Itoa(i%1000)); err != nil || items[0].Version == 0 {
						b.Fatal(err)
					}
				}
			})
			b.Run("Put alone", func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if err := s.Put(b.Context(), "k"+strconv.Itoa(i%1000), value, time.Hour, "user"); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("Put by 64", func(b *testing.B) {
				b.SetParallelism(32)
				var n atomic.Int64
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						if err := s.Put(b.Context(), "k"+strconv.Itoa(int(n.Add(1)%1000)), value, time.Hour, "user"); err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		})
	}
}
