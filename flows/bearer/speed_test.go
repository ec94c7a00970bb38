package bearer_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/sessions/store"
)

// typical is a Checker of one provider on a loopback socket, and what makes tokens of about 1.4 kB, as large providers issue
// them.
func typical(tb testing.TB, maxBytes uint64) (*bearer.Checker, func() string) {
	tb.Helper()
	config := idptest.Standard()
	config.Clients[0].Audience = []string{api}
	config.AccessTokenLifetime = time.Hour
	server := idptest.Start(tb, config)
	p, err := provider.New(provider.Config{Name: "corp", Issuer: server.Issuer(), Discovery: true}, provider.Deps{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(p.Close)
	memory := store.NewMemory(store.MemoryConfig{}, store.Deps{})
	tb.Cleanup(func() { _ = memory.Close() })
	v, err := bearer.New(bearer.Deps{Providers: map[string]*provider.Client{"corp": p}, Shared: memory, Log: slog.New(slog.DiscardHandler), MaxBytes: maxBytes})
	if err != nil {
		tb.Fatal(err)
	}
	c, err := v.Checker(bearer.Config{Audience: []string{api}})
	if err != nil {
		tb.Fatal(err)
	}
	return c, func() string {
		return server.MustMint(idp.Mint{User: "alice", Scopes: []string{"profile", "email"}, Claims: map[string]any{"padding": strings.Repeat("x", 520)}})
	}
}

func TestARememberedVerdictAllocatesNothing(t *testing.T) {
	c, mint := typical(t, 0)
	p := plain(mint())
	if n := len(p.Token); n < 1300 || n > 1600 {
		t.Fatalf("a token of %d bytes is not typical", n)
	}
	who := accepts(t, c, p)
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if again, err := c.Check(ctx, p); err != nil || again != who {
			t.Fatal("not remembered")
		}
	}); n > 0 {
		t.Errorf("Check: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		if ok, err := c.Alive(ctx, who); err != nil || !ok {
			t.Fatal("not alive")
		}
	}); n > 0 {
		t.Errorf("Alive: %v allocations", n)
	}
}

func BenchmarkCheckRemembered(b *testing.B) {
	c, mint := typical(b, 0)
	p := plain(mint())
	accepts(b, c, p)
	ctx := b.Context()
	b.ReportAllocs()
	b.SetBytes(int64(len(p.Token)))
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.Check(ctx, p); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkCheckRememberedAmongThousands(b *testing.B) {
	c, mint := typical(b, 0)
	var all []credentials.Presented
	for range 5000 {
		all = append(all, plain(mint()))
		accepts(b, c, all[len(all)-1])
	}
	ctx := b.Context()
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Check(ctx, all[i%len(all)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkCheckNew is what the first request with an ES256 token costs, the keys being there.
func BenchmarkCheckNew(b *testing.B) {
	c, mint := typical(b, 1<<20)
	var all []credentials.Presented
	for range 2000 {
		all = append(all, plain(mint()))
	}
	accepts(b, c, all[0])
	ctx := b.Context()
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Check(ctx, all[i%len(all)]); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// BenchmarkCheckGarbage is what a token costs that names no issuer of ours, each time another.
func BenchmarkCheckGarbage(b *testing.B) {
	c, _ := typical(b, 0)
	ctx := b.Context()
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Check(ctx, plain(fmt.Sprintf("garbage-%d", i))); err == nil {
			b.Fatal("accepted")
		}
		i++
	}
}
