package credential

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

// TestACachedTokenCostsNoAllocation, however long it is.
func TestACachedTokenCostsNoAllocation(t *testing.T) {
	for _, size := range []int{100, 1500, 15_000} {
		set := over(t, &stub{life: time.Hour, size: size}, nil, backup, orders, Config{Name: "signed", Flow: "assertion", Audience: []string{"x"}})
		alice := somebody("alice")
		for _, name := range []string{"backup", "orders", "signed"} {
			s := set.Source(name)
			token(t, s, alice)
			ctx := t.Context()
			if n := testing.AllocsPerRun(500, func() { _, _ = s.Token(ctx, alice) }); n != 0 {
				t.Errorf("%s, %d bytes: %v allocations", name, size, n)
			}
		}
	}
}

func BenchmarkCached(b *testing.B) {
	set := over(b, &stub{life: 24 * time.Hour, size: 1500}, nil, backup, orders)
	alice := somebody("alice")
	for _, c := range []struct {
		name string
		who  *identity.Identity
	}{{"backup", nil}, {"orders", alice}} {
		s := set.Source(c.name)
		b.Run(s.conf.Flow, func(b *testing.B) {
			token(b, s, c.who)
			ctx := b.Context()
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Token(ctx, c.who); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("token_exchange/parallel", func(b *testing.B) {
		s, ctx := set.Source("orders"), b.Context()
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				_, _ = s.Token(ctx, alice)
			}
		})
	})
	b.Run("token_exchange/first look of an identity", func(b *testing.B) {
		s, ctx := set.Source("orders"), b.Context()
		b.ReportAllocs()
		for b.Loop() {
			_, _ = s.Token(ctx, copyOf(alice)) // the key is made anew, the token is there
		}
	})
}

func BenchmarkMiss(b *testing.B) {
	set := over(b, &stub{life: time.Hour, size: 1500}, nil, orders)
	s, alice := set.Source("orders"), somebody("alice")
	h := must(s.handle(alice))(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.obtain(b.Context(), h, alice, true); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMemory fills the cache with the tokens of 100,000 identities for 3 audiences, each of 1.5 kB, and reports what lies on the
// heap: within the bound that is configured, and with a bound that holds all of them.
func BenchmarkMemory(b *testing.B) {
	for _, bound := range []uint64{defaultBytes, 1 << 30} {
		b.Run(fmt.Sprint(bound>>20, " MiB"), func(b *testing.B) {
			for b.Loop() {
				var m runtime.MemStats
				runtime.GC()
				runtime.ReadMemStats(&m)
				before := m.HeapAlloc
				c := func(name string) Config {
					return Config{Name: name, Flow: "token_exchange", Provider: "corp", Audience: []string{name}}
				}
				p := &stub{life: time.Hour, size: 1500}
				set := over(b, p, func(d *Deps) { d.MaxBytes = bound }, c("one"), c("two"), c("three"))
				for i := range 100_000 {
					who := somebody(fmt.Sprint("user", i))
					for _, s := range set.order {
						token(b, s, who)
					}
				}
				runtime.GC()
				runtime.ReadMemStats(&m)
				used, kept := m.HeapAlloc-before, set.cache.kept.EstimatedSize()
				b.ReportMetric(float64(used)/(1<<20), "MiB")
				b.ReportMetric(float64(kept), "tokens")
				b.ReportMetric(float64(used)/float64(kept)-1500, "overhead-B/token")
				if used > bound+bound/8 {
					b.Errorf("%d bytes on the heap, of %d", used, bound)
				}
				runtime.KeepAlive(set)
			}
		})
	}
}
