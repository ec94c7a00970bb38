package proxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// onWire is an upstream over memory that notes each request as it reads it from the bytes that
// the transport would write.
type onWire struct{ got *http.Request }

func (u *onWire) RoundTrip(r *http.Request) (*http.Response, error) {
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		return nil, err
	}
	got, err := http.ReadRequest(bufio.NewReader(&b))
	if err != nil {
		return nil, err
	}
	u.got = got
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody}, nil
}

// readings are what servers in use make of a path that they receive: decoded once and twice,
// with and without parameters, Windows names, backslashes as slashes, dot segments resolved.
func readings(wire string) (all []string) {
	add := func(p string) {
		for _, p := range []string{p, lenient(p), strings.ReplaceAll(p, `\`, "/"), strings.ReplaceAll(lenient(p), `\`, "/")} {
			all = append(all, path.Clean(p))
		}
	}
	add(wire)
	for p, n := wire, 0; n < 3; n++ {
		next, err := url.PathUnescape(p)
		if err != nil {
			break
		}
		add(next)
		p = next
	}
	return all
}

// FuzzCanonical: what is judged is what is forwarded, and no reading of it lies behind a rule
// that did not judge it.
func FuzzCanonical(f *testing.F) {
	for _, s := range ambiguous {
		f.Add("GET", s)
	}
	for _, s := range []string{
		"/public/x", "/admin/x?path=/public/", "/strip/a%20b?", "https://app.test/public/x", "http://app.test/x", "https://app.test?x", "http:internal/admin", "*", "/strip/admin;x/y", "/public/%2561dmin", "/public/x?a=1;b#c",
		"/strip./admin", "/admin%20/x", "/public/%25%32%65%25%32%65/admin", "/x|y^z\"<>{}", "/\xc3\xbc?\xff", "/old/callback", "/oauth2/callback", "/admin/;/x", "//app.test/public",
	} {
		f.Add("GET", s)
	}
	f.Add("OPTIONS", "*")
	f.Add("CONNECT", "app.test:443")
	f.Add("get", "/public/x")
	upstream := &onWire{}
	l := newLabOf(f, func(_ *Config, d *Deps) { d.Transport = upstream })
	f.Fuzz(func(t *testing.T, method, target string) {
		raw := method + " " + target + " HTTP/1.1\r\nHost: app.test\r\n" + as("alice") + "\r\n\r\n"
		parse := func() *http.Request {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
			if err != nil {
				return nil
			}
			r.RemoteAddr = "192.0.2.1:1"
			return r
		}
		r := parse()
		if r == nil || r.RequestURI != target {
			return // net/http refuses it, or sees another request line
		}
		upstream.got = nil
		l.g.ServeHTTP(httptest.NewRecorder(), r)
		got := upstream.got
		if got == nil {
			return
		}
		judged, err := l.g.canonical(httptest.NewRecorder(), parse())
		if err != nil {
			t.Fatalf("%q is forwarded although %v", raw, err)
		}
		rt, err := l.g.routes.Find(httptest.NewRecorder(), judged)
		if err != nil {
			t.Fatalf("%q is forwarded although %v", raw, err)
		}
		want := judged.Path
		if rt.name == "strip" {
			_, rest, _ := strings.Cut(want[1:], "/")
			want = "/" + rest
		}
		if judged.hasQuery {
			want += "?" + judged.Query
		}
		if got.RequestURI != want || got.Method != judged.Method || got.Host != judged.Origin.Authority() {
			t.Fatalf("%q: judged %s %q, forwarded %s %q to %s", raw, judged.Method, want, got.Method, got.RequestURI, got.Host)
		}
		wire, _, _ := strings.Cut(got.RequestURI, "?")
		if strings.Count(wire, "/") != strings.Count(got.URL.Path, "/") || !strings.HasPrefix(wire, "/") || strings.HasPrefix(wire, "//") || strings.ContainsAny(wire, "#\\ ") {
			t.Fatalf("%q: the upstream receives %q and reads %q", raw, wire, got.URL.Path)
		}
		if path.Clean(got.URL.Path) != strings.TrimSuffix(got.URL.Path, "/") && got.URL.Path != "/" {
			t.Fatalf("%q: the upstream receives %q, which can be cleaned", raw, got.URL.Path)
		}
		for _, reading := range readings(judged.Path) { // alice may not see /admin
			if reading == "/admin" || strings.HasPrefix(reading, "/admin/") || reading == "/oauth2" || strings.HasPrefix(reading, "/oauth2/") {
				t.Fatalf("%q is forwarded by route %s, and can be read as %q", raw, rt.name, reading)
			}
		}
	})
}

// FuzzTemplate: whatever a claim holds, a header is one line of printable ASCII without spaces
// at its ends, and groups cannot multiply.
func FuzzTemplate(f *testing.F) {
	f.Add("X-A", "{user.sub}", "alice", "a", "b")
	f.Add("x-a", "v {claim.c}, {user.groups}", "a\r\nX-Forwarded-User: root", "a,admin", " admin")
	f.Add("Authorization", "Bearer {access_token}", "é漢\x00", "", "%2C")
	f.Add("X-A", "{{}}{claim.}", "{user.sub}", "\x7f", "\t")
	f.Fuzz(func(t *testing.T, name, text, value, one, two string) {
		who := &identity.Identity{
			Issuer: value, Subject: value, Provider: value, Login: value, Client: value, Email: value, EmailVerified: true, Username: value, Name: value, Groups: []string{one, two}, Scopes: []string{two, one},
			Claims: identity.NewClaims(fmt.Appendf(nil, `{"c":[%q]}`, value)), Tokens: &identity.Tokens{AccessToken: secret.New(value), IDToken: secret.New(one)},
		}
		p, err := newHeaderPlan(Headers{Set: map[string]string{name: text}}, credentialNone)
		if err != nil {
			p, _ = newHeaderPlan(Headers{}, credentialSession)
		}
		in := p.build(who)
		if in.err != nil {
			return
		}
		var b bytes.Buffer
		_, _ = io.WriteString(&b, "GET / HTTP/1.1\r\nHost: x\r\n")
		for _, field := range in.fields {
			for _, c := range []byte(field.values[0]) {
				if c < ' ' || c >= 0x7f {
					t.Fatalf("%s: %q", field.name, field.values[0])
				}
			}
			_, _ = fmt.Fprintf(&b, "%s: %s\r\n", field.name, field.values[0])
		}
		_, _ = io.WriteString(&b, "\r\n")
		r, err := http.ReadRequest(bufio.NewReader(&b))
		if err != nil || len(r.Header) != len(in.fields) {
			t.Fatalf("%v: %v", err, in.fields)
		}
		for _, field := range in.fields {
			if got := r.Header[field.name]; len(got) != 1 || got[0] != field.values[0] {
				t.Fatalf("%s: %q arrives as %q", field.name, field.values[0], got)
			}
		}
		if groups := r.Header.Get(headerGroups); err == nil && groups != "" && strings.Count(groups, ",") > 1 {
			t.Fatalf("two groups become %q", groups)
		}
	})
}
