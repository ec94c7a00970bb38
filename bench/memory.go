package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/doorward/doorward/flows/credential"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/sessions/store"
)

const (
	cacheBound   = 64 << 20 // what credential.Deps.MaxBytes is by default
	exchangeSize = 1400     // of a token, in bytes
	exchangers   = 8        // who ask at the same time
)

// measureMemory has the tokens of many identities exchanged for three audiences each, over real HTTP, and prints what
// stays on the heap: with the cache alone, and with the store beside it in which doorward leaves sealed tokens to
// replicas (sessions.store = "memory" wires it like that).
func measureMemory(ctx context.Context, w io.Writer, identities int) error {
	fmt.Fprintf(w, "%s, %d identities × %d audiences, tokens of %d bytes, bound of the cache %d MiB\n\n", runtime.Version(), identities, len(audiences()), exchangeSize, cacheBound>>20)
	fmt.Fprintf(w, "%-28s %12s %12s %12s %10s %10s %10s\n", "", "heap before", "heap after", "grown by", "exchanged", "kept", "for each")
	for _, shared := range []bool{false, true} {
		m, err := newHoard(0, shared)
		if err != nil {
			return err
		}
		got, err := m.measure(ctx, identities)
		m.close()
		if err != nil {
			return err
		}
		got.report(w, map[bool]string{false: "the cache alone", true: "with a store for replicas"}[shared])
		switch {
		case !shared && got.grown() > cacheBound:
			fmt.Fprintf(w, "  goal: at most %d MiB: missed\n", cacheBound>>20)
		case !shared:
			fmt.Fprintf(w, "  goal: at most %d MiB: met\n", cacheBound>>20)
		case got.full != nil:
			fmt.Fprintf(w, "  the store takes nothing more, sessions included: %v\n", got.full)
		default:
			fmt.Fprintf(w, "  the store still takes sessions\n")
		}
	}
	return nil
}

func audiences() []string { return []string{"orders", "invoices", "shipping"} }

// hoard is a set of credentials and a provider that has a token for everybody, until it is told to have none.
type hoard struct {
	set       *credential.Set
	provider  *provider.Client
	store     *store.Memory // nil = the cache alone
	server    *http.Server
	exchanged atomic.Int64
	spent     atomic.Bool
}

// newHoard binds the cache to so many bytes, 0 = the default.
func newHoard(bound uint64, shared bool) (h *hoard, err error) {
	h = new(hoard)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = h.server.Serve(l) }()
	defer func() {
		if err != nil {
			h.close()
		}
	}()
	issuer := "http://" + l.Addr().String()
	h.provider, err = provider.New(provider.Config{
		Name: "bench", Issuer: issuer, ClientID: "doorward", ClientSecret: secret.New("bench"), ClientAuth: "client_secret_basic",
		Endpoints: provider.Endpoints{Token: issuer + "/token", JWKS: issuer + "/keys"},
	}, provider.Deps{})
	if err != nil {
		return nil, err
	}
	key := make([]byte, seal.KeySize)
	_, _ = rand.Read(key)
	ring, err := seal.New(key)
	if err != nil {
		return nil, err
	}
	d := credential.Deps{Providers: map[string]*provider.Client{"bench": h.provider}, Ring: ring, MaxBytes: bound}
	if shared {
		h.store = store.NewMemory(store.MemoryConfig{}, store.Deps{})
		d.Shared = h.store
	}
	var all []credential.Config
	for _, a := range audiences() {
		all = append(all, credential.Config{Name: a, Flow: "token_exchange", Provider: "bench", Audience: []string{a}})
	}
	h.set, err = credential.New(all, d)
	return h, err
}

func (h *hoard) close() {
	if h.set != nil {
		h.set.Close()
	}
	if h.provider != nil {
		h.provider.Close()
	}
	if h.store != nil {
		_ = h.store.Close()
	}
	_ = h.server.Close()
}

// ServeHTTP is the token endpoint. It remembers nothing, because it lies on the same heap.
func (h *hoard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	if h.spent.Load() { // one such answer keeps all of doorward's requests away for five minutes
		w.Header().Set("Retry-After", "300")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	h.exchanged.Add(1)
	var random [exchangeSize / 4 * 3]byte
	_, _ = rand.Read(random[:])
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":36000,"issued_token_type":%q}`,
		base64.RawURLEncoding.EncodeToString(random[:]), provider.TypeAccessToken)
}

// hoarded is what measure found.
type hoarded struct {
	before, after uint64 // bytes on the heap that are in use, after a collection
	exchanged     int64
	kept          int64 // tokens that are had without the provider
	full          error // of the store, when something as large as a session is put into it
}

func (g hoarded) grown() int64 { return int64(g.after) - int64(g.before) } //nolint:gosec // a heap is smaller than that

func (g hoarded) report(w io.Writer, name string) {
	const mib = 1 << 20
	each := "-"
	if g.kept > 0 {
		each = fmt.Sprintf("%.0f B", float64(g.grown())/float64(g.kept))
	}
	fmt.Fprintf(w, "%-28s %8.1f MiB %8.1f MiB %8.1f MiB %10d %10d %10s\n", name, float64(g.before)/mib, float64(g.after)/mib, float64(g.grown())/mib, g.exchanged, g.kept, each)
}

// measure asks for every token once, looks at the heap, and then counts which ones are still there while the provider has
// none. The identities themselves are not kept: sessions have a bound of their own.
func (h *hoard) measure(ctx context.Context, identities int) (got hoarded, err error) {
	got.before = heapInUse()
	if err := h.everybody(ctx, identities, func(_ *identity.Credential, err error) error { return err }); err != nil {
		return got, err
	}
	got.after, got.exchanged = heapInUse(), h.exchanged.Load()
	if h.store != nil {
		got.full = h.store.Put(ctx, "bench", make([]byte, 8<<10), time.Hour)
	}
	h.spent.Store(true)
	var kept atomic.Int64
	err = h.everybody(ctx, identities, func(c *identity.Credential, err error) error {
		if err == nil && c != nil {
			kept.Add(1)
		}
		return nil
	})
	got.kept = kept.Load()
	if n := h.exchanged.Load(); err == nil && n != got.exchanged {
		err = fmt.Errorf("%d tokens came from a provider that has none", n-got.exchanged)
	}
	return got, err
}

// everybody has each identity ask for each audience.
func (h *hoard) everybody(ctx context.Context, identities int, each func(*identity.Credential, error) error) error {
	var next atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range exchangers {
		g.Go(func() error {
			for i := next.Add(1) - 1; i < int64(identities); i = next.Add(1) - 1 {
				who := h.person(i)
				for _, a := range audiences() {
					if err := each(h.set.Source(a).Token(ctx, who)); err != nil {
						return err
					}
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// person is always the same for the same number.
func (h *hoard) person(i int64) *identity.Identity {
	name := fmt.Sprint("person-", i)
	received := time.Now()
	return &identity.Identity{
		Issuer: h.provider.Issuer(), Subject: name, Provider: "bench", Login: "staff", Session: "session of " + name, Ends: received.Add(24 * time.Hour),
		Tokens: &identity.Tokens{AccessToken: secret.New("access-token-of-" + name), TokenType: "Bearer", ReceivedAt: received, Expiry: received.Add(12 * time.Hour)},
	}
}

func heapInUse() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools hold survives the first
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
