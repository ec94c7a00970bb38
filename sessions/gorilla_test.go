package sessions

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gorilla/securecookie"
	gorilla "github.com/gorilla/sessions"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/sessions/store"
)

func request(t testing.TB, cookies string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, app+"/", http.NoBody)
	if cookies != "" {
		r.Header.Set("Cookie", cookies)
	}
	return r
}

// given returns the Cookie header that a browser would send after an answer.
func given(w *httptest.ResponseRecorder) string {
	var pairs []string
	for _, c := range w.Result().Cookies() {
		if c.MaxAge >= 0 {
			pairs = append(pairs, c.Name+"="+c.Value)
		}
	}
	return strings.Join(pairs, "; ")
}

func TestGorillaStore(t *testing.T) {
	for name, home := range map[string]func(*plan){"in a store": func(*plan) {}, "in cookies": inCookies} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t, home)
			s := g.Store()
			r, w := request(t, ""), httptest.NewRecorder()
			fresh := must(s.Get(r, "any"))(t)
			if !fresh.IsNew || fresh.ID != "" || len(fresh.Values) != 0 {
				t.Errorf("a request without a cookie has %+v", fresh)
			}
			if err := gorilla.Save(r, w); err == nil || len(w.Header()) > 0 {
				t.Errorf("a session for nobody: %v", err)
			}
			fresh.Values[Who] = g.provider.identity("alice")
			if err := gorilla.Save(r, w); err != nil {
				t.Fatal(err)
			}
			if fresh.IsNew || fresh.ID == "" || fresh.Values[Current].(*Session).ID != fresh.ID {
				t.Errorf("after Save: %+v", fresh)
			}
			first := given(w)

			r = request(t, first)
			again := must(s.Get(r, "any"))(t)
			if registered := must(s.Get(r, "any"))(t); registered != again {
				t.Error("Get does not use the registry")
			}
			if again.IsNew || again.ID != fresh.ID || again.Values[Who].(*identity.Identity).Subject != "alice" {
				t.Errorf("the next request has %+v", again)
			}

			w = httptest.NewRecorder()
			if err := again.Save(r, w); err != nil {
				t.Fatal(err)
			}
			if again.ID == fresh.ID { // L16
				t.Error("P072: Save keeps the id")
			}
			second := given(w)
			if old := must(s.New(request(t, first), "any"))(t); !old.IsNew {
				t.Error("P072: the old id lives on")
			}

			r, w = request(t, second), httptest.NewRecorder()
			ending := must(s.New(r, "any"))(t)
			ending.Options.MaxAge = -1
			if err := ending.Save(r, w); err != nil {
				t.Fatal(err)
			}
			if set := w.Header().Values("Set-Cookie"); len(set) != 1 || !strings.Contains(set[0], "Max-Age=0") {
				t.Errorf("Set-Cookie: %q", set)
			}
			if dead := must(s.New(request(t, second), "any"))(t); !dead.IsNew {
				t.Error("P073: the session can be replayed")
			}
		})
	}
}

func TestGorillaStoreAtAnotherHost(t *testing.T) {
	g := newGate(t)
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://unknown.test/", http.NoBody)
	s, err := g.Store().New(r, "any")
	if err == nil || s == nil { // gorilla: never nil
		t.Fatalf("%v %v", s, err)
	}
	s.Values[Who] = g.provider.identity("alice")
	w := httptest.NewRecorder()
	if err := s.Save(r, w); err == nil || len(w.Header()) > 0 {
		t.Errorf("%v, %v", err, w.Header())
	}
}

func TestGorillaStoreThatIsDown(t *testing.T) {
	g := newGate(t)
	cookies := header(g.signedIn(t, app), app)
	g.sessions.down.Store(true)
	s, err := g.Store().New(request(t, cookies), "any")
	if s == nil || !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v %v", s, err)
	}
}

func TestTheHotPathLeavesTheRequestAlone(t *testing.T) {
	g := newGate(t)
	r := request(t, header(g.signedIn(t, app), app))
	before := r.Context()
	if _, ok, err := g.Authenticate(httptest.NewRecorder(), r); !ok || err != nil || r.Context() != before {
		t.Errorf("%v %v, another context: %v", ok, err, r.Context() != before)
	}
}

func newCodec(t testing.TB, keys ...byte) codec {
	t.Helper()
	material := make([][]byte, len(keys))
	for i, k := range keys {
		material[i] = bytes.Repeat([]byte{k}, seal.KeySize)
	}
	return codec{must(seal.New(material...))(t)}
}

func TestCodec(t *testing.T) {
	var c securecookie.Codec = newCodec(t, 2, 1)
	plain := bytes.Repeat([]byte("more than securecookie takes "), 400)
	text := must(c.Encode("name", plain))(t)
	if len(text) < 4096 || strings.Contains(text, "securecookie") {
		t.Fatalf("%d bytes", len(text))
	}
	var got []byte
	if err := c.Decode("name", text, &got); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%v", err)
	}
	if must(c.Encode("name", plain))(t) == text {
		t.Error("the same plaintext gives the same text")
	}
	if err := c.Decode("name", must(newCodec(t, 1).Encode("name", plain))(t), &got); err != nil {
		t.Errorf("the old key: %v", err)
	}
	for name, bad := range map[string]struct{ name, text string }{
		"another name": {"other", text}, "truncated": {"name", text[:len(text)-4]}, "empty": {"name", ""}, "no base64": {"name", "*" + text[1:]},
		"another key": {"name", must(newCodec(t, 9).Encode("name", plain))(t)}, "oversized": {"name", strings.Repeat("A", 1<<20)}, "padded": {"name", text + "="},
	} {
		got = nil
		if err := c.Decode(bad.name, bad.text, &got); err == nil || got != nil {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, err := c.Encode("name", map[any]any{}); err == nil {
		t.Error("it seals what is not bytes")
	}
	if err := c.Decode("name", text, &map[any]any{}); err == nil {
		t.Error("it opens into what is not bytes")
	}
}

func FuzzCodec(f *testing.F) {
	c := newCodec(f, 1)
	good, _ := c.Encode("name", []byte("plain"))
	f.Add("name", good)
	f.Add("other", good)
	f.Add("name", good[:10])
	f.Fuzz(func(t *testing.T, name, text string) {
		var got []byte
		if err := c.Decode(name, text, &got); err == nil && (name != "name" || string(got) != "plain") { // other processes seal with other nonces
			t.Errorf("%q under %q opens to %q", text, name, got)
		}
	})
}

// FuzzCookieHeader: whatever a browser sends is a session that was begun, or none.
func FuzzCookieHeader(f *testing.F) {
	stored, inCookie := newGate(f), newGate(f, inCookies)
	ticket, sealed := header(stored.signedIn(f, app), app), header(inCookie.signedIn(f, app), app)
	b, _, _ := big(f, inCookie, 9000, 10)
	for _, line := range []string{ticket, sealed, header(b, app), ticket + "; " + sealed, cookie + "=dwc5.A; " + cookie + ".1=B", "=;=;", cookie} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, g := range []*gate{stored, inCookie} {
			r := httptest.NewRequest(http.MethodGet, app+"/", http.NoBody)
			r.Header["Cookie"] = []string{line}
			s, err := g.Load(r)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			// Only these were begun. Other processes begin others, so that their text is not known here.
			if s != nil && (s.Who.Subject != "alice" || !strings.Contains(line, cookie+"=dw")) {
				t.Errorf("%q is the session of %s", line, s.Who.Subject)
			}
		}
	})
}

func FuzzJoin(f *testing.F) {
	f.Add("dwc1.AAAA", "", "")
	f.Add("dwc2."+strings.Repeat("A", chunkSize-5), "B", "")
	f.Add("dwc9.", "-1", "99999999")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		for n, parts := range [][]string{{}, {a}, {a, b}, {a, b, c}} {
			text, ok := join(parts)
			if !ok {
				continue
			}
			again, err := split(text)
			if err != nil || len(again) != n || strings.Join(again, "|") != strings.Join(parts, "|") {
				t.Errorf("%q joins to %q, which splits into %q", parts, text, again)
			}
		}
	})
}
