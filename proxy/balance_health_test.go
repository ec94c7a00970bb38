package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/identity"
)

func TestAnUpstreamThatSaysItIsIllGetsNoRequests(t *testing.T) {
	var ill atomic.Bool
	var asked atomic.Int32
	var body atomic.Int64
	l := newLab(t, func(c *Config, d *Deps) {
		a, b := must(url.Parse("http://a.test:80/base")), must(url.Parse("http://b.test:80"))
		for i := range c.Routes {
			c.Routes[i].Upstreams = []*url.URL{a, b}
		}
		c.Routes[2].Balance.Health = &Health{Path: "/health/z?full=1"}
		d.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(r.URL.Host))}
			if !strings.HasSuffix(r.URL.Path, "/health/z") {
				return res, nil
			}
			for _, name := range []string{"Authorization", "Cookie", "X-Forwarded-User"} {
				if r.Header[name] != nil {
					t.Errorf("the check brings %s", name)
				}
			}
			if r.Host != "app.test" || r.URL.RawQuery != "full=1" || r.Method != "GET" {
				t.Errorf("asked %s %s of %s", r.Method, r.URL, r.Host)
			}
			if r.URL.Host == "b.test:80" {
				res.StatusCode = http.StatusFound // is an answer
				res.Header.Set("Location", "http://evil.test/")
				return res, nil
			}
			if r.URL.Path != "/base/health/z" {
				t.Errorf("asked for %s", r.URL.Path)
			}
			asked.Add(1)
			z := zeros(1 << 40)
			res.Body = struct {
				io.Reader
				io.Closer
			}{io.TeeReader(&z, counter{&body}), io.NopCloser(nil)}
			if ill.Load() {
				res.StatusCode = http.StatusInternalServerError
			}
			return res, nil
		})
	})
	state := func() UpstreamState {
		for _, s := range l.g.Upstreams() {
			if s.Route == "public" {
				return s
			}
		}
		return UpstreamState{}
	}
	synctest.Test(t, func(t *testing.T) {
		l.g.Start()
		synctest.Wait()
		if asked.Load() != 1 || !state().Up || !state().Checked {
			t.Fatalf("asked %d times at once: %+v", asked.Load(), state())
		}
		ill.Store(true)
		for range healthFall - 1 {
			time.Sleep(healthInterval)
			synctest.Wait()
		}
		if !state().Up {
			t.Error("it is down too early")
		}
		time.Sleep(healthInterval)
		synctest.Wait()
		if s := state(); s.Up || !s.Down {
			t.Errorf("it is not down: %+v", s)
		}
		ill.Store(false)
		time.Sleep(healthInterval)
		synctest.Wait()
		if state().Up {
			t.Error("it is up after one good answer")
		}
		time.Sleep(healthInterval)
		synctest.Wait()
		if !state().Up {
			t.Error("it does not come up again")
		}
		l.g.Close()
		n := asked.Load()
		time.Sleep(time.Hour)
		if asked.Load() != n {
			t.Error("it asks after its end")
		}
		if read := body.Load() / int64(n); read > 2*healthBody {
			t.Errorf("it reads %d bytes of an answer", read)
		}
	})
	if text := l.log.String(); strings.Count(text, `"upstream is down"`) != 1 || strings.Count(text, `"upstream is up"`) != 1 || !strings.Contains(text, "it answered 500") {
		t.Errorf("the log says %s", text)
	}
}

type counter struct{ n *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

func TestACheckThatTakesTooLongIsABadOne(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		c.Routes[2].Balance.Health = &Health{Path: "/healthz", Timeout: time.Second, Fall: 1} // with one upstream, too
		d.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/healthz" {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}, nil
		})
	})
	synctest.Test(t, func(t *testing.T) {
		l.g.Start()
		time.Sleep(time.Second)
		synctest.Wait()
		l.g.Close()
	})
	if text := l.log.String(); !strings.Contains(text, `"upstream is down"`) || !strings.Contains(text, errTimeout.Error()) {
		t.Errorf("the log says %s", text)
	}
	if a := l.send("GET", "/public/x"); a.StatusCode != 200 { // there is no other
		t.Errorf("answer %s", a.Status)
	}
}

func TestAReloadTellsNothingAgainOfAnUpstreamThatIsDown(t *testing.T) {
	var ill atomic.Bool
	ill.Store(true)
	var serving atomic.Pointer[Gateway]
	logs := &lockedBuffer{}
	build := func() *Gateway {
		l := newLab(t, func(c *Config, d *Deps) {
			c.Routes[2].Upstreams, c.Routes[2].Balance.Health = []*url.URL{address("http://a.test:80")}, &Health{Path: "/healthz"}
			d.Current = serving.Load
			d.Log = slog.New(slog.NewJSONHandler(logs, nil))
			d.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
				res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}
				if ill.Load() {
					res.StatusCode = http.StatusInternalServerError
				}
				return res, nil
			})
		})
		return l.g
	}
	down := func(g *Gateway) bool {
		return slices.ContainsFunc(g.Upstreams(), func(s UpstreamState) bool { return s.Route == "public" && s.Down })
	}
	told := func(what string) int { return strings.Count(logs.String(), what) }
	first := build()
	serving.Store(first)
	synctest.Test(t, func(t *testing.T) {
		first.Start()
		synctest.Wait()
		first.Close()
	})
	if !down(first) || told("upstream is down") != 1 {
		t.Fatalf("it is not down: %s", logs.String())
	}
	second := build()
	if !down(second) {
		t.Error("people are sent to what is known to be down")
	}
	serving.Store(second)
	synctest.Test(t, func(t *testing.T) {
		second.Start()
		time.Sleep(3 * healthInterval)
		synctest.Wait()
		if !down(second) || told("upstream is down") != 1 {
			t.Errorf("it is told again: %s", logs.String())
		}
		ill.Store(false)
		time.Sleep(3 * healthInterval)
		synctest.Wait()
		for range healthRise { // the first one asks on for a minute
			first.watch.probers[0].note(nil)
		}
		second.Close()
	})
	if down(first) || down(second) || told("upstream is up") != 1 {
		t.Errorf("it is not up once: %s", logs.String())
	}
	if third := build(); down(third) {
		t.Error("what is up is down after a reload")
	}
}

func TestNewDoesNotAskAnybody(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		c.Routes[2].Balance.Health = &Health{Path: "/healthz"}
		d.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			t.Error("somebody is asked")
			return nil, errors.New("no")
		})
	})
	l.g.Close() // of one that was never started
}

func TestTheSecondTryOfATokenGoesWhereTheFirstHasEnded(t *testing.T) {
	var tokens []string
	m := newTeam(t, 2, Balance{}, func(c *Config, d *Deps) {
		for i := range c.Routes {
			if c.Routes[i].Name == "root" {
				c.Routes[i].Credential = "orders"
			}
		}
		d.Sources = map[string]Source{"orders": source(func(context.Context, *identity.Identity) (*identity.Credential, error) {
			tokens = append(tokens, "t")
			return bearerCredential("token" + strings.Repeat("x", len(tokens))), nil
		})}
	})
	m.es[0].answers(status(503))
	m.es[1].answers(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer tokenx" {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, r.Header.Get("Authorization"))
	})
	tokens = nil
	a := m.send("GET", "/x", as("alice"))
	first := m.es[0].take()
	second := m.es[1].take()
	if a.body != "Bearer tokenxx" || len(first) > 1 || len(second) != 2 {
		t.Errorf("answer %s %q after %d and %d requests", a.Status, a.body, len(first), len(second))
	}
}
