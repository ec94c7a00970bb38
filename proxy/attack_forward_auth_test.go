package proxy

import (
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/proxy/policy"
)

// Group D: forward-auth. Every question is asked on a socket.

func TestP021ForgedIdentityHeadersAreNoAnswer(t *testing.T) {
	l := asking(t)
	for _, c := range [][2]string{{"/oauth2/auth", "/public/x"}, {"/oauth2/auth", "/oauth2/callback"}, {"/oauth2/auth/public/x", ""}, {"/oauth2/session/forwardauth", "/public/x"}} {
		lines := slices.Clone(forged)
		if c[1] != "" {
			lines = append(lines, "X-Forwarded-Uri: "+c[1])
		}
		l.both(t, "GET", c[0], append(lines, "Authorization: Bearer x"), func(l *lab, a answer) {
			if a.StatusCode/100 != 2 {
				l.Fatalf("answer %s", a.Status)
			}
			for name := range a.Header {
				if slices.ContainsFunc(forged, func(line string) bool { return strings.HasPrefix(line, name+":") }) || name == "Authorization" {
					l.Errorf("the answer says %s: %q", name, a.Header[name])
				}
			}
		})
	}
	l.both(t, "GET", "/oauth2/auth", append(about("/x", as("alice")), forged...), func(l *lab, a answer) {
		l.verdict(a, 202)
		l.tells(a, "X-Forwarded-User", "alice")
		l.tells(a, "X-Forwarded-Groups", "")
		l.tells(a, "Remote-User", "")
	})
	l.both(t, "GET", "/oauth2/auth", append(about("/admin"), forged...), func(l *lab, a answer) { l.verdict(a, 401) })
}

func TestP035OnlyTrustedProxiesAreAnswered(t *testing.T) {
	for name, l := range map[string]*lab{"nobody is trusted": newLab(t, nil), "others are trusted": newLab(t, trusting("10.0.0.0/8"))} {
		t.Run(name, func(t *testing.T) {
			for _, target := range []string{"/oauth2/auth", "/oauth2/auth?redirect=true", "/oauth2/session/forwardauth", "/oauth2/auth/public/x", "/oauth2/auth/x"} {
				for _, lines := range [][]string{
					{as("root")}, about("/public/x", as("root")), append(about("/x", as("root"), "X-Original-Method: GET", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "X-Real-Ip: 10.0.0.1"), "X-Forwarded-For: 10.0.0.1"),
				} {
					l.both(t, "GET", target, lines, func(l *lab, a answer) {
						l.verdict(a, 401)
						if a.Header["Location"] != nil || a.Header["Set-Cookie"] != nil || a.Header.Get("Www-Authenticate") == "" {
							l.Errorf("the headers are %v", a.Header)
						}
					})
				}
			}
			if !strings.Contains(l.log.String(), "is not in listen.trusted_proxies") {
				t.Error("the log does not say who has to be trusted")
			}
		})
	}
}

func TestP042AUserAgentOpensNothing(t *testing.T) {
	l := asking(t)
	for _, agent := range []string{"GoogleHC/1.0", "kube-probe/1.31", "ELB-HealthChecker/2.0", "Envoy/HC"} {
		l.both(t, "GET", "/oauth2/auth", about("/x", "User-Agent: "+agent), func(l *lab, a answer) { l.verdict(a, 401) })
		l.both(t, "GET", "/oauth2/auth", []string{"User-Agent: " + agent, as("alice")}, func(l *lab, a answer) { l.verdict(a, 401) })
	}
}

func TestP043MalformedCookiesAreNobodys(t *testing.T) {
	l := asking(t)
	for name, cookie := range map[string]string{
		"percent": "__Host-doorward=%%%", "base64": "__Host-doorward=AAAA", "truncated": "__Host-doorward=ali", "long": "__Host-doorward=" + strings.Repeat("A", 5000), "empty": "__Host-doorward=",
		"twice": "__Host-doorward=alice; __Host-doorward=root", "without a name": "=alice", "quoted": `__Host-doorward="`, "no pair": "__Host-doorward", "binary": "__Host-doorward=\x80\xff", "another name": "doorward=alice",
	} {
		t.Run(name, func(t *testing.T) {
			l.both(t, "GET", "/oauth2/auth", about("/x", "Cookie: "+cookie), func(l *lab, a answer) { l.verdict(a, 401) })
			l.both(t, "GET", "/oauth2/auth/x", []string{"Cookie: " + cookie}, func(l *lab, a answer) { l.verdict(a, 401) })
		})
	}
}

func TestP044WithoutOneGoodAddressNothingPasses(t *testing.T) {
	l := asking(t)
	for name, lines := range map[string][]string{
		"none": nil, "empty": {"X-Forwarded-Uri:"}, "absolute": about("http://evil/"), "absolute here": about("https://app.test/public/x"), "two slashes": about("//admin"), "a space": about("/a b"),
		"dots": about("/public/../admin"), "encoded dots": about("/public/%2e%2e/admin"), "a backslash": about("/public\\x"), "an encoded slash": about("/public%2fx"), "a fragment": about("/public/x#y"), "no slash": about("public/x"), "a star": about("*"),
		"two": about("/public/x", "X-Forwarded-Uri: /public/x"), "a list": about("/public/x, /admin"), "a NUL": about("/public/%00"),
		"two headers, two words":          about("/public/x", "X-Original-Uri: /admin"),
		"another URL":                     about("/public/x", "X-Original-Url: https://app.test/admin"),
		"a URL elsewhere":                 about("/public/x", "X-Original-Url: https://open.test/public/x", "X-Forwarded-Host: app.test"),
		"no URL":                          {"X-Original-Url: https:/app.test/public/x"},
		"another scheme":                  {"X-Original-Url: ftp://app.test/public/x"},
		"a URL without a path":            {"X-Original-Url: https://app.test"},
		"a URL with a user":               {"X-Original-Url: https://app.test@evil.test/public/x"},
		"two hosts":                       about("/public/x", "X-Forwarded-Host: app.test", "X-Forwarded-Host: open.test"),
		"a list of hosts":                 about("/public/x", "X-Forwarded-Host: app.test, open.test"),
		"two methods":                     about("/public/x", "X-Forwarded-Method: GET", "X-Original-Method: POST"),
		"a method that is none":           about("/public/x", "X-Forwarded-Method: GET /"),
		"a method that is there, but not": about("/public/x", "X-Forwarded-Method:"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, target := range []string{"/oauth2/auth", "/oauth2/auth?redirect=true", "/oauth2/session/forwardauth"} {
				l := l.on(t)
				a := l.send("GET", target, append(slices.Clone(lines), as("root"))...)
				if name == "a URL with a user" { // its host is none of ours
					l.verdict(a, 403)
					continue
				}
				l.verdict(a, 401)
				if a.Header.Get("Www-Authenticate") == "" || a.Header["Location"] != nil {
					t.Errorf("the headers are %v", a.Header)
				}
			}
		})
	}
	for name, lines := range map[string][]string{
		"Traefik, Caddy": about("/public/x?y", "X-Forwarded-Method: POST", "X-Forwarded-Host: app.test", "X-Forwarded-Proto: https"),
		"nginx":          {"X-Original-Uri: /public/x"}, "two that agree": about("/public/x", "X-Original-Uri: /public/x", "X-Original-Url: https://app.test/public/x"),
		"ingress-nginx": {"X-Original-Url: http://app.test/public/x?y", "X-Original-Method: POST", "Host: app.test"},
		"with a port":   {"X-Original-Url: https://APP.test:443/public/x", "X-Forwarded-Host: app.test"},
		"a path alone":  {"X-Original-Url: /public/x"},
	} {
		t.Run(name, func(t *testing.T) {
			l.both(t, "GET", "/oauth2/auth", lines, func(l *lab, a answer) { l.verdict(a, 202) })
		})
	}
	for _, uri := range []string{"/public/../admin", "//admin", "/public/%2e%2e/admin", "/public\\x"} {
		l.both(t, "GET", "/oauth2/auth"+uri, []string{as("root")}, func(l *lab, a answer) { l.verdict(a, 400) })
	}
}

func TestP045AQueryIsNoPath(t *testing.T) {
	l := asking(t)
	for _, uri := range []string{"/admin?x=/public/status", "/admin?/public/", "/x?/oauth2/callback", "/admin?x=%2Fpublic%2F"} {
		l.both(t, "GET", "/oauth2/auth", about(uri), func(l *lab, a answer) { l.verdict(a, 401) })
		l.both(t, "GET", "/oauth2/auth"+uri, nil, func(l *lab, a answer) { l.verdict(a, 401) })
	}
}

func TestP046TheMethodIsTheTrustedProxysWord(t *testing.T) {
	readOnly := func(c *Config, d *Deps) {
		c.Routes = append(c.Routes,
			Route{Name: "read", Hosts: c.Routes[0].Hosts, Path: "/mixed", Public: true, Methods: []string{"GET"}},
			Route{Name: "change", Hosts: c.Routes[0].Hosts, Path: "/mixed", Logins: []string{"staff"}, Methods: []string{"POST"}, Allow: []policy.Rule{{Groups: []string{"admin"}}}})
		d.Starters["change"] = door{}
	}
	l := asking(t, readOnly)
	for method, status := range map[string]int{"GET": 202, "HEAD": 202, "POST": 401, "PUT": 403, "get": 403, "GET,POST": 401} {
		l.both(t, "GET", "/oauth2/auth", about("/mixed", "X-Forwarded-Method: "+method), func(l *lab, a answer) { l.verdict(a, status) })
	}
	l.both(t, "POST", "/oauth2/auth/mixed", []string{"X-Forwarded-Method: GET", "X-Original-Method: GET", "X-Http-Method-Override: GET"}, func(l *lab, a answer) { l.verdict(a, 401) })
	l.both(t, "POST", "/oauth2/auth", about("/mixed", "X-Http-Method-Override: GET", "X-Original-Method: POST"), func(l *lab, a answer) { l.verdict(a, 401) })
	stranger := newLab(t, readOnly)
	stranger.both(t, "POST", "/oauth2/auth", about("/mixed", "X-Forwarded-Method: GET"), func(l *lab, a answer) { l.verdict(a, 401) })
}

func TestP047TheQueryLetsNobodyIn(t *testing.T) {
	l := asking(t)
	for _, query := range []string{"allowed_groups=&allowed_emails=alice@example.com", "allowed_emails=alice@example.com", "allowed_groups=", "allowed_email_domains=example.com", "allowed_email_domains=*", "skip=true", "public=true"} {
		l.both(t, "GET", "/oauth2/auth?"+query, about("/admin", as("alice")), func(l *lab, a answer) { l.verdict(a, 403) })
		l.both(t, "GET", "/oauth2/auth?"+query, about("/admin"), func(l *lab, a answer) { l.verdict(a, 401) })
	}
}

func TestP048NoErrorIsAYes(t *testing.T) {
	l := asking(t)
	for who, envoys := range map[string]int{"broken": 503, "panic": 500} {
		for _, target := range []string{"/oauth2/auth", "/oauth2/auth?redirect=true", "/oauth2/session/forwardauth"} {
			l.both(t, "GET", target, about("/x", as(who), "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"), func(l *lab, a answer) {
				l.verdict(a, 503)
				if strings.Contains(a.body, "6379") || a.Header["Location"] != nil {
					l.Errorf("the answer is %v %s", a.Header, a.body)
				}
			})
		}
		l.both(t, "GET", "/oauth2/auth/x", []string{as(who)}, func(l *lab, a answer) { l.verdict(a, envoys) })
	}
	for uri, status := range map[string]int{"/session/x": 503, "/id/x": 503} { // no token where the route promises one
		l.both(t, "GET", "/oauth2/auth", about(uri, as("tokenless")), func(l *lab, a answer) { l.verdict(a, status) })
	}
}

// P177: a redirect that makes a browser post again what it posted.
func TestP177NoAnswerRepeatsAPost(t *testing.T) {
	l := asking(t)
	page := []string{"Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Content-Type: application/x-www-form-urlencoded"}
	l.both(t, "GET", "/oauth2/auth?redirect=true", about("/x", append(page, "X-Forwarded-Method: POST")...), func(l *lab, a answer) { l.verdict(a, 401) })
	l.both(t, "POST", "/oauth2/auth/x", page, func(l *lab, a answer) { l.verdict(a, 401) })
}

// service is a Source of a credential that is no person's.
type service struct{ prepared }

func (service) Personal() bool { return false }

// A gateway in the line stands behind a load balancer that it trusts, and so does everybody who comes that way.
func TestP191WhoComesThroughATrustedProxyReadsNoTokenAtTheQuestions(t *testing.T) {
	l := asking(t, func(c *Config, d *Deps) {
		to := c.Routes[0].Upstreams
		d.Sources["service"] = service{prepared{bearerCredential("key-of-the-service")}}
		signed := bearerCredential("signed-assertion")
		signed.Header, signed.Values = "X-Doorward-Assertion", []string{"signed-assertion"}
		d.Sources["signed"] = prepared{signed}
		c.Routes = append(c.Routes,
			Route{Name: "open-service", Hosts: c.Routes[0].Hosts, Path: "/service", Upstreams: to, Public: true, Credential: "service", Headers: Headers{Set: map[string]string{"X-Api-Key": "s3cret"}}},
			Route{Name: "upstream-orders", Hosts: c.Routes[0].Hosts, Path: "/orders", Upstreams: to, Logins: []string{"staff"}, Credential: "orders"},
			Route{Name: "signed", Hosts: c.Routes[0].Hosts, Path: "/signed", Upstreams: to, Logins: []string{"staff"}, Headers: Headers{Assertion: "signed"}})
		d.Starters["upstream-orders"], d.Starters["signed"] = door{}, door{}
	})
	for path, user := range map[string]string{"/service/x": "", "/session/x": "alice", "/id/x": "alice", "/set/x": "alice", "/orders/1": "alice", "/signed/x": "alice"} {
		for question, lines := range map[string][]string{"/oauth2/auth": about(path, as("alice")), "/oauth2/auth" + path: {as("alice")}, "/oauth2/session/forwardauth": about(path, as("alice"))} {
			l.both(t, "GET", question, lines, func(l *lab, a answer) {
				if a.StatusCode/100 != 2 {
					l.Fatalf("answer %s", a.Status)
				}
				l.tells(a, "X-Auth-Request-User", user)
				for name, values := range a.Response.Header {
					for _, secret := range []string{"at-alice", "idt-alice", "exchanged-token-of-orders", "key-of-the-service", "s3cret", "signed-assertion"} {
						if strings.Contains(strings.Join(values, " "), secret) {
							l.Errorf("%s of %s tells %s", name, path, secret)
						}
					}
				}
			})
		}
	}
	if !strings.Contains(l.log.String(), "the answer tells no credential") {
		t.Error("the operator is not told")
	}
}

// A proxy that asks at PREFIX/auth/ by mistake, with a slash at the end, would be told about "/" whatever it asks about.
func TestP044TheAddressInThePathIsTheOnlyOne(t *testing.T) {
	l := asking(t)
	for _, lines := range [][]string{about("/admin/x"), {"X-Original-Uri: /admin/x"}, {"X-Original-Url: https://app.test/admin/x"}, about("/public/", "X-Original-Uri: /admin"), about("/public/x")} {
		l.both(t, "GET", "/oauth2/auth/public/", lines, func(l *lab, a answer) { l.verdict(a, 401) })
	}
	for _, lines := range [][]string{nil, about("/public/"), {"X-Original-Uri: /public/"}, {"X-Original-Url: https://app.test/public/"}} {
		l.both(t, "GET", "/oauth2/auth/public/", lines, func(l *lab, a answer) { l.verdict(a, 200) })
	}
	l.both(t, "POST", "/oauth2/auth/public/", []string{"X-Forwarded-Method: GET"}, func(l *lab, a answer) { l.verdict(a, 401) }) // P046
	l.both(t, "POST", "/oauth2/auth/public/", []string{"X-Forwarded-Method: POST"}, func(l *lab, a answer) { l.verdict(a, 200) })
}
