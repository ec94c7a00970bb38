package proxy

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// refusing lets E answer 401 with this challenge to whatever lacks the token that it wants, and with code to the rest.
func refusing(challenge, wanted string) func(w http.ResponseWriter, r *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Authorization")+r.Header.Get("Cookie"), wanted) {
			_, _ = w.Write([]byte("E"))
			return
		}
		w.Header().Set("WWW-Authenticate", challenge)
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(strings.Repeat("no ", 2000)))
	}
}

const rejects = `Bearer realm="E", error="invalid_token", error_description="it was revoked"`

func sourceLab(t *testing.T, f *fixed, change ...func(*Config, *Deps)) *lab {
	t.Helper()
	return newLab(t, func(c *Config, d *Deps) {
		c.Routes[0].Credential = "orders"
		d.Sources = map[string]Source{"orders": f}
		for _, g := range change {
			g(c, d)
		}
	})
}

func TestP143ATokenThatTheUpstreamRejectsIsReplacedOnce(t *testing.T) {
	for name, c := range map[string]struct {
		challenge, method string
		body              bool
		values            []string
		status            int
		arrive            []string // Authorization at E
		rejected          int
	}{
		"GET":                      {rejects, "GET", false, []string{"Bearer token-old", "Bearer token-new"}, 200, []string{"Bearer token-old", "Bearer token-new"}, 1},
		"POST without a body":      {rejects, "POST", false, []string{"Bearer token-old", "Bearer token-new"}, 200, []string{"Bearer token-old", "Bearer token-new"}, 1},
		"DPoP says so":             {`Basic realm="x", DPoP error=invalid_token, algs="ES256"`, "GET", false, []string{"Bearer token-old", "Bearer token-new"}, 200, []string{"Bearer token-old", "Bearer token-new"}, 1},
		"with a body":              {rejects, "POST", true, []string{"Bearer token-old", "Bearer token-new"}, 401, []string{"Bearer token-old"}, 1},
		"the second one too":       {rejects, "GET", false, []string{"Bearer token-old", "Bearer token-odd"}, 401, []string{"Bearer token-old", "Bearer token-odd"}, 1},
		"there is no other":        {rejects, "GET", false, []string{"Bearer token-old"}, 401, []string{"Bearer token-old"}, 1},
		"the same one again":       {rejects, "GET", false, []string{"Bearer token-old", "Bearer token-old"}, 401, []string{"Bearer token-old"}, 1},
		"another one is missing":   {`Bearer error="insufficient_scope"`, "GET", false, []string{"Bearer token-old", "Bearer token-new"}, 401, []string{"Bearer token-old"}, 0},
		"it says nothing":          {`Bearer realm="error=\"invalid_token\""`, "GET", false, []string{"Bearer token-old", "Bearer token-new"}, 401, []string{"Bearer token-old"}, 0},
		"in a text":                {`Bearer error_description="a, error=invalid_token"`, "GET", false, []string{"Bearer token-old", "Bearer token-new"}, 401, []string{"Bearer token-old"}, 0},
		"the new one is good HTTP": {rejects, "GET", false, []string{"Bearer token-old", "Bearer token-new\r\nX: y"}, 401, []string{"Bearer token-old"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			for _, version := range []string{"h1", "h2"} {
				t.Run(version, func(t *testing.T) {
					f := &fixed{header: "Authorization", values: c.values, personal: true}
					l := sourceLab(t, f)
					l.e.answers(refusing(c.challenge, "token-new"))
					lines := []string{as("alice")}
					var a answer
					switch {
					case c.body:
						a = l.raw(withBody(c.method, "/x", "a=b", lines...))
					case version == "h1":
						a = l.send(c.method, "/x", lines...)
					default:
						a = l.send2(c.method, "/x", lines...)
					}
					var arrived []string
					for _, r := range l.e.take() {
						arrived = append(arrived, r.Header.Get("Authorization"))
						r.one(t, "X-Forwarded-User", "alice")
					}
					if a.StatusCode != c.status || !slices.Equal(arrived, c.arrive) || len(f.rejected) != c.rejected {
						t.Errorf("answer %s; E got %q; rejected %q", a.Status, arrived, f.rejected)
					}
					if c.status == 401 && a.challenge() != c.challenge {
						t.Errorf("the upstream's word does not stand: %q", a.challenge())
					}
				})
			}
		})
	}
}

func TestP143AnApprovedRequestIsNeverSentAgain(t *testing.T) {
	f := &fixed{header: "Authorization", values: []string{"Bearer token-old", "Bearer token-new"}, personal: true}
	sent := 0
	v := &visit{route: &route{source: f}, pass: &identity.Credential{Header: "Authorization", Values: []string{"Bearer token-old"}}}
	way := roundTrip(func(*http.Request) (*http.Response, error) {
		sent++
		return &http.Response{StatusCode: 401, Header: http.Header{"Www-Authenticate": {rejects}}, Body: http.NoBody}, nil
	})
	for never, want := range map[bool]int{true: 1, false: 2} {
		sent, f.n = 0, 0
		r, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://e.test/", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := (&secondTry{visit: v, way: way, never: never}).RoundTrip(r)
		if err != nil || res.StatusCode != 401 || sent != want {
			t.Errorf("never %v: sent %d times, %v", never, sent, err)
		}
		_ = res.Body.Close()
	}
}

func TestP143ARejectedTokenDoesNotRepeatAnApprovedRequest(t *testing.T) {
	f := &fixed{header: "Authorization", values: []string{"Bearer token-old", "Bearer token-new"}, personal: true}
	l := payLabFor(t)
	for rt := range l.g.approvals.routes {
		rt.source = f
	}
	l.e.answers(refusing(rejects, "token-new"))
	name := l.begin("DELETE", "/read?id=1", "", as("alice"))
	l.reading.answer(approval.Approved)
	a := l.say("DELETE", "/read?id=1", "", as("alice"), approved(name))
	if got := l.e.take(); a.StatusCode != 401 || len(got) != 1 || !slices.Equal(f.rejected, []string{"Bearer token-old"}) {
		t.Errorf("answer %s, %d requests, rejected %q", a.Status, len(got), f.rejected)
	}
}

func TestP153TheUpstreamCannotHandATokenOn(t *testing.T) {
	pair := "Basic " + base64.StdEncoding.EncodeToString([]byte("oauth2:service-secret"))
	for name, f := range map[string]*fixed{
		"Bearer":   {header: "Authorization", values: []string{"Bearer service-secret"}},
		"Basic":    {header: "Authorization", values: []string{pair}},
		"a cookie": {header: "Cookie", values: []string{"up=service-secret"}},
		"a header": {header: "X-Api-Token", values: []string{"Key service-secret"}},
	} {
		t.Run(name, func(t *testing.T) {
			l := sourceLab(t, f)
			l.e.answers(func(w http.ResponseWriter, r *http.Request) {
				echo := r.Header.Get(f.header)
				h := w.Header()
				h["X-Echo"] = []string{"first", echo, "last"}
				h.Set("Location", "https://x.test/?t="+echo[strings.IndexAny(echo, " =")+1:])
				h.Set("Trailer", "X-Late")
				h.Set("Link", "<https://x.test/"+echo+">")
				w.WriteHeader(http.StatusEarlyHints)
				w.WriteHeader(http.StatusFound)
				_, _ = w.Write([]byte(echo))
				h.Set("X-Late", echo)
				h.Set(http.TrailerPrefix+"X-Later", echo)
			})
			c := l.write(request("GET", "/x", as("alice")))
			var wire strings.Builder
			if _, err := io.Copy(&wire, c); err != nil {
				t.Log(err)
			}
			head, body, _ := strings.Cut(wire.String()[strings.Index(wire.String(), "HTTP/1.1 302"):], "\r\n\r\n")
			hints, _, _ := strings.Cut(wire.String(), "HTTP/1.1 302")
			secretText := f.values[0][strings.IndexAny(f.values[0], " =")+1:]
			for what, text := range map[string]string{"head": head, "hints": hints, "trailer": body[strings.LastIndex(body, "\r\n0\r\n")+1:]} {
				if text == "" || strings.Contains(text, secretText) {
					t.Errorf("%s: %q", what, text)
				}
			}
			if !strings.Contains(head, "first") || !strings.Contains(head, "last") || !strings.Contains(head, "Location: https://x.test/?t="+scrubbed) {
				t.Errorf("head %q", head)
			}
		})
	}
}

func TestACredentialTakesThePlaceOfWhateverAClientSentThere(t *testing.T) {
	t.Run("a cookie", func(t *testing.T) {
		f := &fixed{header: "Cookie", values: []string{"up=old", "up=new"}}
		l := sourceLab(t, f)
		l.e.answers(refusing(rejects, "up=new"))
		a := l.send("GET", "/x", "Cookie: a=b; up=evil; __Host-doorward=alice; c=d; up=evil2")
		got := l.e.take()
		if a.StatusCode != 200 || len(got) != 2 {
			t.Fatalf("answer %s, %d requests", a.Status, len(got))
		}
		got[0].one(t, "Cookie", "a=b; c=d; up=old")
		got[1].one(t, "Cookie", "a=b; c=d; up=new")
	})
	t.Run("a cookie alone", func(t *testing.T) {
		l := sourceLab(t, &fixed{header: "Cookie", values: []string{"up=new"}})
		l.passed(l.send("GET", "/x", as("alice"))).one(t, "Cookie", "up=new")
	})
	t.Run("a header", func(t *testing.T) {
		l := sourceLab(t, &fixed{header: "X-Api-Key", values: []string{"k 1"}})
		l.both(t, "GET", "/x", []string{as("alice"), "X-Api-Key: evil"}, func(l *lab, a answer) { l.passed(a).one(t, "X-Api-Key", "k 1") })
		l.both(t, "GET", "/public/x", []string{"X-Api-Key: evil"}, func(l *lab, a answer) { l.passed(a).lacks(l, "X-Api-Key") }) // on every route (P022)
	})
}

func TestOnAPublicRouteOnlyAServiceHasACredential(t *testing.T) {
	for name, f := range map[string]*fixed{
		"a service's": {header: "X-Service", values: []string{"Bearer token-new"}},
		"a person's":  {header: "X-Service", values: []string{"Bearer token-new"}, personal: true},
		"a cookie":    {header: "Cookie", values: []string{"svc=token-new"}, personal: true},
		"broken":      {header: "X-Service"},
	} {
		t.Run(name, func(t *testing.T) {
			if f.values == nil {
				f.values = []string{""}
			}
			l := newLab(t, func(c *Config, d *Deps) {
				c.Routes[2].Credential = "orders"
				d.Sources = map[string]Source{"orders": f}
			})
			l.both(t, "GET", "/public/x", []string{as("alice"), "X-Service: evil", "Cookie: svc=evil"}, func(l *lab, a answer) {
				switch {
				case f.values[0] == "":
					l.refused(a, 502)
				case f.personal:
					sent := l.passed(a)
					if f.header != "Cookie" {
						sent.lacks(l, "X-Service")
					}
					if strings.Contains(strings.Join(sent.Header["Cookie"], ""), "svc") == (f.header == "Cookie") {
						l.Errorf("cookies %q", sent.Header["Cookie"])
					}
				default:
					l.passed(a).one(l, "X-Service", "Bearer token-new")
				}
			})
			for _, s := range f.subjects {
				if s != "nobody" || f.personal {
					t.Errorf("asked for %s", s)
				}
			}
		})
	}
}

// stepDoor is a Starter that can ask for more.
type stepDoor struct{ door }

func (stepDoor) StepUp(w http.ResponseWriter, _ *http.Request, back, claims string) error {
	w.Header().Set("Location", "https://idp.test/authorize?claims="+claims+"&back="+back)
	w.WriteHeader(http.StatusFound)
	return nil
}

func TestWhoMustActIsToldHow(t *testing.T) {
	const claims = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
	var why *credentials.Refusal
	b := newBearerLab(t, func(c *Config, d *Deps) {
		for i := range c.Routes {
			if n := c.Routes[i].Name; n == "root" || n == "api" || n == "admin" {
				c.Routes[i].Credential = "graph"
			}
		}
		d.Sources = map[string]Source{"graph": source(func(context.Context, *identity.Identity) (*identity.Credential, error) { return nil, why })}
		d.Starters["root"] = stepDoor{}
	})
	why = errSubject
	b.both(t, "GET", "/api", []string{bearerLine("bob")}, func(l *lab, a answer) {
		l.refused(a, 401)
		l.challenged(a, `Bearer realm="app.test", error="invalid_token", error_description="the provider does not exchange this token any more", `+apiMetadata)
	})
	b.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) {
		l.refused(a, 401)
		if a.code() != codeInvalidToken || !strings.Contains(a.body, `"login_url":"https://app.test/oauth2/start?rd=`) {
			l.Errorf("answer %s", a.body)
		}
	})
	b.both(t, "GET", "/x", append([]string{as("alice")}, navigation...), func(l *lab, a answer) {
		l.refused(a, 401) // no redirect: it would turn for ever
		if a.Header.Get("Location") != "" || !strings.Contains(a.body, "/oauth2/start?rd=%2Fx") {
			l.Errorf("answer %v %s", a.Header, a.body)
		}
	})
	for _, text := range []string{base64.StdEncoding.EncodeToString([]byte(claims)), base64.RawURLEncoding.EncodeToString([]byte(claims))} {
		why = &credentials.Refusal{Word: credentials.InsufficientClaims, Params: [][2]string{{"claims", text}}}
		b.both(t, "GET", "/api", []string{bearerLine("bob")}, func(l *lab, a answer) {
			l.refused(a, 401)
			l.challenged(a, `Bearer realm="app.test", error="insufficient_claims", claims="`+text+`", `+apiMetadata)
			if a.code() != codeStepUp {
				l.Errorf("answer %s", a.body)
			}
		})
		b.both(t, "GET", "/x?a=b", append([]string{as("alice")}, navigation...), func(l *lab, a answer) {
			l.refused(a, 302)
			if to := a.Header.Get("Location"); to != "https://idp.test/authorize?claims="+claims+"&back=/x?a=b" {
				l.Errorf("to %s", to)
			}
		})
		b.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) {
			if l.refused(a, 401); a.code() != codeStepUp || !strings.Contains(a.challenge(), `claims="`+text) {
				l.Errorf("answer %s %s", a.challenge(), a.body)
			}
		})
		b.both(t, "GET", "/admin/x", append([]string{as("root")}, navigation...), func(l *lab, a answer) { l.refused(a, 401) }) // its login cannot ask for more
	}
	why = &credentials.Refusal{Word: credentials.InsufficientClaims, Params: [][2]string{{"claims", "[]"}}}
	b.both(t, "GET", "/x", append([]string{as("alice")}, navigation...), func(l *lab, a answer) { l.refused(a, 401) })
}

func TestATokenThatHasEndedIsNotSentBesideACredential(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		c.Routes[7].Credential = "orders" // its headers hold {access_token}
		d.Sources = map[string]Source{"orders": source(func(context.Context, *identity.Identity) (*identity.Credential, error) {
			return bearerCredential("fetched"), nil
		})}
	})
	l.both(t, "GET", "/set/x", []string{as("late")}, func(l *lab, a answer) { l.refused(a, 503) })
	l.both(t, "GET", "/set/x", []string{as("alice")}, func(l *lab, a answer) { l.passed(a).one(l, "Authorization", "Bearer fetched") })
}

func TestASecondTryLeavesTheFirstAlone(t *testing.T) {
	first := httptest.NewRequest(http.MethodGet, "http://e.test/", http.NoBody)
	first.Header = http.Header{"Cookie": {"up=old; a=b", "c=d; up=old"}, "X": {"y"}}
	was := slices.Clone(first.Header["Cookie"])
	second := again(first, &identity.Credential{Header: "Cookie", Values: []string{"up=new"}})
	if !slices.Equal(first.Header["Cookie"], was) || second.Header.Get("Cookie") != "a=b; c=d; up=new" {
		t.Errorf("%q, then %q", first.Header, second.Header)
	}
	old := &identity.Credential{Header: "X-Key", Values: []string{"old"}}
	if replaces(&identity.Credential{Header: "X-Other", Values: []string{"new"}}, old) || !replaces(&identity.Credential{Header: "X-Key", Values: []string{"new"}}, old) {
		t.Error("the old one would go along")
	}
}

func TestScrubbingLeavesOtherSlicesAlone(t *testing.T) {
	shared := []string{"a", "secret-token"}
	h := http.Header{"X": shared}
	scrub(h, &identity.Credential{Tokens: &identity.Tokens{AccessToken: secret.New("secret-token")}, Values: []string{"Bearer secret-token"}})
	if shared[1] != "secret-token" || !slices.Equal(h["X"], []string{"a", scrubbed}) {
		t.Errorf("%q %q", shared, h)
	}
	short := http.Header{"X": {"abc"}}
	scrub(short, &identity.Credential{Tokens: &identity.Tokens{AccessToken: secret.New("a")}, Values: []string{"Bearer a"}})
	if short.Get("X") != "abc" {
		t.Error("a letter is no secret")
	}
}

func FuzzSaysInvalidToken(f *testing.F) {
	for _, s := range []string{rejects, `Bearer error="invalid_token`, `,`, `a="\`, `error = invalid_token`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if saysInvalidToken([]string{line}) && !strings.Contains(line, "invalid_token") {
			t.Errorf("%q", line)
		}
	})
}
