package wire

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// change makes a request another than a plain GET of http://app.test/.
type change func(*http.Request)

func header(name string, values ...string) change {
	return func(r *http.Request) { r.Header[name] = values }
}

func target(u url.URL) change {
	return func(r *http.Request) {
		if u.Host == "" {
			u.Host = r.URL.Host
		}
		u.Scheme = "http"
		r.URL = &u
	}
}

func request(ctx context.Context, change change) *http.Request {
	r, _ := http.NewRequestWithContext(ctx, "GET", "http://app.test/", nil)
	change(r)
	return r
}

// dial takes every address for this upstream's.
func (u *upstream) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	return dialTCP(ctx, "tcp", u.listener.Addr().String())
}

func TestRequestsAreWrittenLikeByHTTPTransport(t *testing.T) {
	for name, change := range map[string]change{
		"plain":                func(*http.Request) {},
		"HEAD":                 func(r *http.Request) { r.Method = "HEAD" },
		"NoBody":               func(r *http.Request) { r.Body = http.NoBody },
		"no User-Agent":        header("User-Agent", ""),
		"none at all":          header("User-Agent"),
		"nil User-Agent":       func(r *http.Request) { r.Header["User-Agent"] = nil },
		"User-Agent":           header("User-Agent", " curl\t"),
		"two User-Agents":      header("User-Agent", "one", "two"),
		"blank User-Agent":     header("User-Agent", " "),
		"many fields":          func(r *http.Request) { r.Header = manyFields(60) },
		"several lines":        header("X", "b", "", "a"),
		"spaces":               header("X", " \t a \t b \t "),
		"names as they are":    header("x-LOWER_case", "a"),
		"bytes beyond ASCII":   header("X", "\xc3\xa4\xff\x80"),
		"long":                 header("Cookie", strings.Repeat("a=b; ", 10000)),
		"Host in the header":   header("Host", "other.test"),
		"Content-Length":       header("Content-Length", "7"),
		"Keep-Alive":           header("Keep-Alive", "300"),
		"a host of its own":    func(r *http.Request) { r.Host = "public.test:8443" },
		"no host of its own":   func(r *http.Request) { r.Host = "" },
		"IPv6":                 func(r *http.Request) { r.Host = "[::1]:80" },
		"query":                target(url.URL{Path: "/a", RawQuery: "b=c&d=%20e;f?g/#"}),
		"empty query":          target(url.URL{Path: "/a", ForceQuery: true}),
		"no path":              target(url.URL{}),
		"path to be escaped":   target(url.URL{Path: "/a b\x00\r\n\xff?#%"}),
		"path escaped":         target(url.URL{Path: "/a/b c", RawPath: "/a%2Fb%20c"}),
		"path escaped wrongly": target(url.URL{Path: "/a/b c", RawPath: "/a b c\r\n"}),
		"two slashes":          target(url.URL{Path: "//a//b/../c"}),
		"fragment":             target(url.URL{Path: "/", Fragment: "x"}),
		"user":                 target(url.URL{Path: "/", User: url.UserPassword("a", "b")}),
		"query beyond ASCII":   target(url.URL{Path: "/", RawQuery: "\xc3\xa4"}),
		"port":                 target(url.URL{Host: "app.test:8080", Path: "/"}),
		"empty port":           target(url.URL{Host: "app.test:", Path: "/"}),
		"IPv6 of the target":   target(url.URL{Host: "[::1]", Path: "/"}),
		"all of a token":       header("X-Token!#$%&'*+.^_`|~", "a"),
	} {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, always("HTTP/1.1 204 No Content\r\n\r\n"))
			var addresses []string
			dial := func(ctx context.Context, network, address string) (net.Conn, error) {
				addresses = append(addresses, network+" "+address)
				return u.dial(ctx, network, address)
			}
			for _, s := range []subject{newStandard(dial), newWire(t, dial)} {
				if o := take(s, request(t.Context(), change), outcome{}); o.Err != "" {
					t.Fatalf("%T: %v", s, o)
				}
				s.CloseIdleConnections()
			}
			_, heads := u.seen()
			if heads[0] != heads[1] {
				t.Errorf("wire:\n%q\nhttp.Transport:\n%q", brief(heads[1]), brief(heads[0]))
			}
			if len(addresses) != 2 || addresses[0] != addresses[1] {
				t.Errorf("dialed %q", addresses)
			}
		})
	}
}

func manyFields(n int) http.Header {
	h := http.Header{}
	for i := range n {
		h.Add("X-"+strings.Repeat("x", i*7%n), "value")
	}
	return h
}

func TestWhatIsNotOursGoesToTheFallbackUnchanged(t *testing.T) {
	for name, change := range map[string]change{
		"POST":              func(r *http.Request) { r.Method = "POST" },
		"OPTIONS":           func(r *http.Request) { r.Method = "OPTIONS" },
		"get":               func(r *http.Request) { r.Method = "get" },
		"no method":         func(r *http.Request) { r.Method = "" },
		"a body":            func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("a")), 1 },
		"unknown length":    func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("a")), -1 },
		"a body of nothing": func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("")) },
		"a length alone":    func(r *http.Request) { r.ContentLength = 1 },
		"https":             func(r *http.Request) { r.URL.Scheme = "https" },
		"no scheme":         func(r *http.Request) { r.URL.Scheme = "" },
		"no host":           func(r *http.Request) { r.URL.Host = "" },
		"no URL":            func(r *http.Request) { r.URL = nil },
		"no header":         func(r *http.Request) { r.Header = nil },
		"opaque":            func(r *http.Request) { r.URL.Opaque = "//app.test/x" },
		"no slash":          func(r *http.Request) { r.URL.Path = "x" },
		"asterisk":          func(r *http.Request) { r.URL.Path = "*" },
		"IDN":               func(r *http.Request) { r.URL.Host = "ä.test" },
		"IDN as Host":       func(r *http.Request) { r.Host = "ä.test" },
		"zone":              func(r *http.Request) { r.Host = "[fe80::1%25en0]" },
		"line in Host":      func(r *http.Request) { r.Host = "app.test\r\nX: y" },
		"close":             func(r *http.Request) { r.Close = true },
		"trailer":           func(r *http.Request) { r.Trailer = http.Header{"X": nil} },
		"coding":            func(r *http.Request) { r.TransferEncoding = []string{"chunked"} },
		"Cancel":            func(r *http.Request) { r.Cancel = make(chan struct{}) }, //lint:ignore SA1019 it must not be ignored
		"Upgrade":           header("Upgrade", "websocket"),
		"upgrade":           header("upgrade", "websocket"),
		"Connection":        header("Connection", "close"),
		"CONNECTION":        header("CONNECTION", "close"),
		"Expect":            header("Expect", "100-continue"),
		"Te":                header("Te", "trailers"),
		"Trailer field":     header("Trailer", "X"),
		"Transfer-Encoding": header("Transfer-Encoding", "chunked"),
		"transfer-encoding": header("transfer-encoding", "chunked"),
		"content-length":    header("content-length", "1"),
		"host":              header("host", "other.test"),
		"user-agent":        header("user-agent", "x"),
	} {
		t.Run(name, func(t *testing.T) {
			var got *http.Request
			w := newWireOr(t, noDial, roundTrip(func(r *http.Request) (*http.Response, error) {
				got = r
				return &http.Response{StatusCode: 299}, nil
			}))
			r := request(t.Context(), change)
			before := maps.Clone(r.Header)
			res, err := w.RoundTrip(r)
			if got != r || err != nil || res.StatusCode != 299 || !maps.EqualFunc(before, r.Header, func(a, b []string) bool { return strings.Join(a, "\n") == strings.Join(b, "\n") }) {
				t.Errorf("the fallback got %v; the answer is %v, %v", got, res, err)
			}
		})
	}
}

func noDial(context.Context, string, string) (net.Conn, error) {
	return nil, errDialed
}

var errDialed = errors.New("nothing may be dialed")

func TestWhatFitsIntoNoRequestIsRefused(t *testing.T) {
	for name, change := range map[string]change{
		"CRLF in a value":   header("X", "secret\r\nY: z"),
		"CR":                header("X", "secret\r"),
		"LF":                header("X", "\nsecret"),
		"NUL":               header("X", "secret\x00"),
		"DEL":               header("X", "secret\x7f"),
		"escape":            header("X", "long enough for eight \x1b secret"),
		"DEL further on":    header("X", "long enough for eight \x7f secret"),
		"second value":      header("X", "a", "secret\r\n"),
		"in User-Agent":     header("User-Agent", "secret\nx"),
		"CRLF in a name":    header("X: y\r\nZ", "secret"),
		"space in a name":   header("X ", "secret"),
		"colon in a name":   header("X:", "secret"),
		"empty name":        header("", "secret"),
		"name beyond ASCII": header("Ä", "secret"),
		"CR in the query":   target(url.URL{Path: "/", RawQuery: "secret\r\n\r\nGET / HTTP/1.1"}),
		"LF in the query":   target(url.URL{Path: "/", RawQuery: "secret\n"}),
		"NUL in the query":  target(url.URL{Path: "/", RawQuery: "secret\x00"}),
		"DEL in the query":  target(url.URL{Path: "/", RawQuery: "secret\x7f"}),
	} {
		t.Run(name, func(t *testing.T) {
			for _, s := range []subject{newStandard(noDial), newWire(t, noDial)} {
				if _, err := s.RoundTrip(request(t.Context(), change)); err == nil {
					t.Errorf("%T sends it", s)
				} else if _, ours := s.(*Transport); ours && (strings.Contains(err.Error(), "secret") || errors.Is(err, errDialed)) {
					t.Error(err)
				}
			}
		})
	}
	t.Run("what http.Transport sends: a space in the target", func(t *testing.T) {
		_, err := newWire(t, noDial).RoundTrip(request(t.Context(), target(url.URL{Path: "/", RawQuery: "a HTTP/1.1"})))
		if !errors.Is(err, errTarget) {
			t.Errorf("error %v", err)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	good := Deps{Fallback: http.DefaultTransport, Dial: noDial}
	for name, c := range map[string]struct {
		change func(*Config)
		deps   Deps
	}{
		"no dial timeout":   {func(c *Config) { c.DialTimeout = 0 }, good},
		"no header timeout": {func(c *Config) { c.ResponseHeaderTimeout = 0 }, good},
		"no idle timeout":   {func(c *Config) { c.IdleTimeout = -1 }, good},
		"no connections":    {func(c *Config) { c.IdlePerHost = 0 }, good},
		"no header":         {func(c *Config) { c.MaxResponseHeaderBytes = 0 }, good},
		"no fallback":       {func(*Config) {}, Deps{Dial: noDial}},
		"no dial":           {func(*Config) {}, Deps{Fallback: http.DefaultTransport}},
	} {
		t.Run(name, func(t *testing.T) {
			config := limits
			c.change(&config)
			if _, err := New(config, c.deps); err == nil {
				t.Error("no error")
			}
		})
	}
}
