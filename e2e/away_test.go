package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
)

// road is the way to a provider. While it is closed, whoever takes it is cut off.
type road struct {
	*httptest.Server
	closed atomic.Bool
}

func newRoad(t *testing.T, to string) *road {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	r := &road{}
	through := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.SetURL(target)
		p.Out.Host = p.In.Host
	}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if r.closed.Load() {
			panic(http.ErrAbortHandler)
		}
		through.ServeHTTP(w, q)
	}))
	t.Cleanup(r.Close)
	return r
}

// A provider that cannot be reached for a while ends no sign-in that is waiting; the page says
// how it stands (DEV-5).
func TestDEVAProviderThatIsAwayForAWhileIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := prepareDevice(t, providerOptions{})
	way := newRoad(t, w.provider.issuer)
	w.provider.options.Issuer, w.provider.issuer = way.URL, way.URL
	w.configureDevice(t)
	w.provider.start(t)
	w.gateway.start(t)
	b := newBrowser(t)
	b.inBoth(t, func(t *testing.T, tb *tab) {
		tb.open(w.gateway.origin + "/page")
		tb.begin()
		code := tb.userCode()
		way.closed.Store(true)
		tb.says("does not answer")
		if tb.userCode() != code {
			t.Errorf("the code is another one now: %s, not %s", tb.userCode(), code)
		}
		way.closed.Store(false)
		w.approveDevice(b.apart(t).tab(t), way.URL+"/device", code, "alice")
		tb.waitURL(w.gateway.origin + "/page")
	})
}
