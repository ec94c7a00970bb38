package personal

import (
	"net/http"
	"testing"
)

// known is a world that has seen a token, and a request with it.
func known(t testing.TB, change func(r *http.Request, tok string)) (*Tokens, *http.Request) {
	t.Helper()
	w := newWorld(t)
	made := w.mint(w.signedIn("alice", git), git, named("ci"))
	r := w.request(made.Token, git)
	if change != nil {
		change(r, made.Token)
	}
	if _, ok, err := w.Authenticate(nil, r); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return w.Tokens, r
}

func withBasic(r *http.Request, tok string) { r.Header.Set("Authorization", basic("alice", tok)) }

func TestAKnownTokenCostsNoStoreAndNoMemory(t *testing.T) {
	for name, change := range map[string]func(*http.Request, string){"Bearer": nil, "Basic": withBasic} {
		t.Run(name, func(t *testing.T) {
			tokens, r := known(t, change)
			tokens.Close() // waits for what the first use writes
			tokens.cache.off.Store(false)
			tokens.Authenticate(nil, r)
			before := tokens.deps.Store.(*frailStore).gets.Load()
			if n := testing.AllocsPerRun(100, func() {
				if _, ok, err := tokens.Authenticate(nil, r); !ok || err != nil {
					t.Error(ok, err)
				}
			}); n > 0 {
				t.Errorf("%v allocations", n)
			}
			if n := tokens.deps.Store.(*frailStore).gets.Load() - before; n != 0 {
				t.Errorf("%d reads", n)
			}
		})
	}
}

func benchmark(b *testing.B, change func(*http.Request, string)) {
	tokens, r := known(b, change)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, err := tokens.Authenticate(nil, r); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkAKnownTokenAsBearer(b *testing.B) { benchmark(b, nil) }

func BenchmarkAKnownTokenAsBasic(b *testing.B) { benchmark(b, withBasic) }

func BenchmarkATokenFromTheStore(b *testing.B) {
	tokens, r := known(b, nil)
	b.ReportAllocs()
	for b.Loop() {
		tokens.cache.decoded.InvalidateAll()
		if _, ok, err := tokens.Authenticate(nil, r); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

func BenchmarkATokenThatIsNone(b *testing.B) {
	tokens, r := known(b, nil)
	tok := []byte(r.Header.Get("Authorization"))
	tok[30] ^= 1
	r.Header.Set("Authorization", string(tok))
	b.ReportAllocs()
	for b.Loop() {
		if _, ok, _ := tokens.Authenticate(nil, r); ok {
			b.Fatal("accepted")
		}
	}
}
