package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/internal/testnet"
	"github.com/doorward/doorward/sessions/store"
)

// replicas are two gateways of one configuration over one memory store. A browser's requests go to the one that is in turn.
type replicas struct {
	*stack
	at   [2]*httptest.Server
	turn atomic.Int32
}

func newReplicas(t *testing.T, toml func(string) string) *replicas {
	t.Helper()
	r := &replicas{stack: newStack(t, "")}
	r.write(toml(r.toml))
	c, err := config.Load(r.options())
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(r.log, nil))
	shared := store.NewMemory(store.MemoryConfig{}, store.Deps{})
	st := &state{shared: shared, sessions: shared, keys: [][]byte{[]byte(strings.Repeat("k", seal.KeySize))}}
	for i := range r.at {
		g, err := build(c, st, nil, log)
		if err != nil {
			t.Fatal(err)
		}
		access := telemetry.NewAccessLog(log)
		r.at[i] = httptest.NewServer(access.Handler(g.handler, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }))
		t.Cleanup(func() {
			r.at[i].Close()
			access.Close()
			g.close()
		})
	}
	return r
}

// browser keeps its cookies, whoever answers.
func (r *replicas) browser() *testnet.Browser {
	outside := strings.TrimPrefix(r.origin, "http://")
	return testnet.NewBrowser(&http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == outside {
				address = r.at[r.turn.Load()].Listener.Addr().String()
			}
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	})
}

func (r *replicas) exchanges() (n int) {
	for _, q := range r.idp.Requests(idp.Token) {
		if q.Form.Get("grant_type") == idp.GrantTokenExchange {
			n++
		}
	}
	return n
}

func TestTwoGatewaysOnOneStoreShareAnExchangedTokenAndItsEnd(t *testing.T) {
	r := newReplicas(t, func(toml string) string {
		return strings.Replace(toml, `credential = "session"`, `credential = "orders"`, 1) + "[credential.orders]\nflow = \"token_exchange\"\naudience = [\"orders\"]\n"
	})
	alice, bob := r.browser(), r.browser()
	page := r.signedIn(alice, "/cart", "alice", "wonderland-9")
	if page.Status != 200 {
		t.Fatalf("%d\n%s\n%s", page.Status, page.Trail(), r.log)
	}
	first := r.app.last(t).Header.Get("Authorization")
	r.signedIn(bob, "/cart", "bob", "builder-9")
	if other := r.app.last(t).Header.Get("Authorization"); other == first || other == "" {
		t.Fatal("P142: bob's request went upstream with alice's token, or with none")
	}
	if n := r.exchanges(); n != 2 {
		t.Fatalf("%d exchanges for two people", n)
	}

	r.turn.Store(1)
	for range 3 {
		if page := alice.Open(t, r.origin+"/cart"); page.Status != 200 {
			t.Fatalf("%d\n%s", page.Status, r.log)
		}
		if again := r.app.last(t).Header.Get("Authorization"); again != first {
			t.Error("the other gateway sent another token")
		}
	}
	if n := r.exchanges(); n != 2 {
		t.Errorf("%d exchanges: the second gateway made one of its own", n)
	}

	r.turn.Store(0)
	alice.Open(t, r.origin+"/oauth2/sign_out")
	r.turn.Store(1)
	before := len(r.app.requests())
	alice.Open(t, r.origin+"/cart")
	if n := len(r.app.requests()); n != before {
		t.Error("P131: a request of the ended session reached the application by the other gateway")
	}
	page = r.signedIn(alice, "/cart", "alice", "wonderland-9")
	if page.Status != 200 || r.app.last(t).Header.Get("Authorization") == first {
		t.Errorf("P131: the token of the session that ended came back, %d", page.Status)
	}
	if strings.Contains(r.log.String(), strings.TrimPrefix(first, "Bearer ")) {
		t.Error("a token is in the log")
	}
}
