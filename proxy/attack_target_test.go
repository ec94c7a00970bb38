package proxy

import (
	"net/http"
	"strings"
	"testing"
)

// Group A: what policy judges and what the upstream receives are the same bytes.

func TestP001AQuerySatisfiesNoPathRule(t *testing.T) {
	l := newLab(t, nil)
	for _, target := range []string{"/admin/x?path=/public/", "/admin/x?/public/x", "/admin?/public", "/x?public/../public/x", "/admin/x?%2fpublic%2f"} {
		t.Run(target, func(t *testing.T) {
			l.both(t, "GET", target, nil, func(l *lab, a answer) { l.refused(a, 401) })
			l.both(t, "GET", target, []string{as("root")}, func(l *lab, a answer) {
				if got := l.passed(a); got.RequestURI != target {
					l.Errorf("E received %q", got.RequestURI)
				}
			})
		})
	}
	l.both(t, "GET", "/admin/x?path=/public/", []string{as("alice")}, func(l *lab, a answer) { l.refused(a, 403) })
}

func TestTargetsOfTwoMeaningsAreRefused(t *testing.T) {
	l := newLab(t, nil)
	for row, targets := range map[string][]string{
		"P002": {"/admin/x#/public/", "/public/#/../../admin/x", "/public/x?a#b", "/public/x#", "#/public", "/#"},
		"P003": {"/public/secret%23/bar", "/public%23", "/public/x%3Fy", "/public/x%3fy"},
		"P004": {"/public/../admin/x", "/public/x/../../admin/x", "/public/..", "/public/.", "/public/./x", "/..", "/../public/x"},
		"P005": {"/public/%2e%2e/admin/x", "/public/.%2E/admin/x", "/public/%2E./admin/x", "/public/%2e/x", "/%2e%2e/public"},
		"P006": {"/public/..%2fadmin/x", "/public/..%2Fadmin/x", "/public%2f..%2fadmin", "/public/a%2fb"},
		"P007": {"/public/..%5cadmin/x", `/public/..\admin/x`, "/public/a%5Cb", `/public\x`},
		"P008": {
			"/public/%252e%252e%252fadmin/x", "/public/%252e%252e/admin/x", "/public/..%252fadmin/x", "/public/%25252e%25252e/admin",
			"/public/%25%32%65%25%32%65/admin/x", "/public/..%25%32%66admin", "/public/a%255cb", "/public/a%2500",
		},
		"P009": {"/public/..;/admin/x", "/public/..;a=b/admin/x", "/public/;/x", "/public/%2e%2e;/admin/x", "/public/..%3b/admin/x", "/;/admin/x"},
		"P010": {"//admin", "/admin//x", "/./admin", "//public/x", "/public//", "///"},
		"P015": {
			"/strip/../admin/x", "/strip/%2e%2e/admin/x", "/strip/..;/admin/x", "/strip//admin/x", "/strip/./admin", "/strip/..%2fadmin", `/strip/..\admin`,
			"/strip./admin/x", "/strip%20/admin/x", "/strip/;/admin/x",
		},
		"P018":            {"/public/x?%zz=4", "/public/x?a=%", "/public/x?a=%2"},
		"control bytes":   {"/public/a%00b", "/public/a%0d%0aX:%20y", "/public/%01", "/public/%7f", "/public/%c0%ae%c0%ae/admin", "/public/%ff", "/public/\xff"},
		"PX-3 bad escape": {"/public/%", "/public/%zz", "/public/%2"},
	} {
		for _, target := range targets {
			t.Run(row+" "+target, func(t *testing.T) {
				for _, who := range [][]string{nil, {as("alice")}, {as("root")}} {
					l.both(t, "GET", target, who, func(l *lab, a answer) {
						if a.ProtoMajor == 2 && a.StatusCode == 0 { // net/http resets some before a handler sees them
							a.StatusCode = 400
						}
						l.refused(a, 400)
					})
				}
			})
		}
	}
}

func TestP009AParameterCannotHideARule(t *testing.T) {
	l := newLab(t, nil)
	for _, target := range []string{"/admin;x=1/x", "/admin;/x", "/admin;x", "/public;x/y", "/public/../admin;x"} {
		t.Run(target, func(t *testing.T) {
			l.both(t, "GET", target, []string{as("alice")}, func(l *lab, a answer) { l.refused(a, 400) })
		})
	}
	const judged = "/admin/x;jsessionid=1"
	l.both(t, "GET", judged, []string{as("alice")}, func(l *lab, a answer) { l.refused(a, 403) })
	l.both(t, "GET", judged, []string{as("root")}, func(l *lab, a answer) {
		if got := l.passed(a); got.RequestURI != judged {
			l.Errorf("E received %q", got.RequestURI)
		}
	})
}

func TestP010SlashesDontLeadToTheWeakerRule(t *testing.T) {
	l := newLab(t, nil)
	for _, target := range []string{"/admin", "/admin/", "/admin/x/", "/admin?", "/%61dmin/x", "/a%64min", "/admin/x?y"} {
		t.Run(target, func(t *testing.T) {
			l.both(t, "GET", target, []string{as("alice")}, func(l *lab, a answer) { l.refused(a, 403) })
			l.both(t, "GET", target, []string{as("root")}, func(l *lab, a answer) {
				if got := l.passed(a); got.RequestURI != target {
					l.Errorf("E received %q", got.RequestURI)
				}
			})
		})
	}
	for _, target := range []string{"/admin.", "/admin%20", "/admin./x", "/admin%2e/x", "/admin.%20/x", "/%2561dmin", "/%252561dmin/x", "/admin%253bx"} { // PX-3, P008
		t.Run(target, func(t *testing.T) {
			l.both(t, "GET", target, []string{as("alice")}, func(l *lab, a answer) { l.refused(a, 400) })
		})
	}
}

func TestP011CaseOfHostAndPath(t *testing.T) {
	l := newLab(t, nil)
	for _, host := range []string{"APP.TEST", "app.test.", "App.Test", "app.test:443", "APP.TEST.:443"} {
		t.Run(host, func(t *testing.T) {
			l.both(t, "GET", "/public/x", []string{"Host: " + host}, func(l *lab, a answer) {
				got := l.passed(a)
				got.one(l, "X-Forwarded-Host", "app.test")
				if got.Host != "app.test" {
					l.Errorf("E received Host %q", got.Host)
				}
			})
			l.both(t, "GET", "/admin/x", []string{"Host: " + host, as("alice")}, func(l *lab, a answer) { l.refused(a, 403) })
		})
	}
	for _, target := range []string{"/PUBLIC/x", "/Public/x", "/ADMIN/x"} { // never the rule of another path
		t.Run(target, func(t *testing.T) {
			l.both(t, "GET", target, nil, func(l *lab, a answer) { l.refused(a, 401) })
		})
	}
}

func TestP012OwnEndpointsAreMatchedExactly(t *testing.T) {
	l := newLab(t, nil)
	for target, status := range map[string]int{
		"/admin/x?next=/oauth2/callback": 401, "/admin/oauth2/callback": 401, "/admin/x/oauth2/sign_out": 401, "/oauth2callback": 401, "/OAUTH2/callback": 401,
		"/old/callback/x": 401, "/old/callback2": 401, "/x/old/callback": 401, "/x?/old/callback": 401,
		"/oauth2/callback/../admin/x": 400, "/oauth2/callback/..;/admin": 400, "/oauth2//callback": 400, "/oauth2/callback/%2e%2e/sign_out": 400,
		"/oauth2": 404, "/oauth2/": 404, "/oauth2/callback/x": 404, "/oauth2/nothing": 404, "/oauth2/%63allback": 404, "/%6fauth2/callback": 404,
		"/oauth2;x/callback": 404, "/oauth2/callback;x": 404, "/oauth2/admin/x": 404,
	} {
		t.Run(target, func(t *testing.T) {
			l.both(t, "GET", target, nil, func(l *lab, a answer) { l.refused(a, status) })
		})
	}
	for _, target := range []string{"/oauth2/callback", "/oauth2/callback?x=/public/y", "/old/callback"} {
		t.Run(target, func(t *testing.T) {
			l.both(t, "GET", target, []string{as("root")}, func(l *lab, a answer) { l.refused(a, 200) })
		})
	}
}

func TestP013RootlessTargets(t *testing.T) {
	l := newLab(t, nil)
	for _, target := range []string{
		"http:internal-vhost/admin/x", "http:http://internal-vhost/admin/x", "https:public/x", "http:/public/x", "x:y", "internal-vhost:80", "public/x", "*", "https:///public/x", "://x", "?x",
	} {
		t.Run(target, func(t *testing.T) {
			l := l.on(t)
			l.refused(l.send("GET", target, as("root")), 400)
		})
	}
	for _, target := range []string{"http:internal-vhost/admin/x", "public/x", "https://app.test/public/x"} {
		t.Run(target+" h2", func(t *testing.T) {
			l := l.on(t)
			l.refused(l.send2("GET", target, as("root")), 0, 400)
		})
	}
	t.Run("* h2", func(t *testing.T) {
		l := l.on(t)
		l.refused(l.send2("GET", "*", as("root")), 400)
		l.refused(l.send2("OPTIONS", "*", as("root")), 404)
		l.refused(l.send("OPTIONS", "*", as("root")), 404)
		l.refused(l.send("OPTIONS", "*", as("root"), "Host: evil.test"), 421)
	})
}

func TestP014AbsoluteForm(t *testing.T) {
	l := newLab(t, nil)
	for name, c := range map[string]struct {
		target, host string
		status       int
	}{
		"the target's host wins over Host, closed": {"https://app.test/q", "open.test", 401},
		"and does not lend its rules":              {"https://open.test/admin/x", "app.test", 404},
		"a host that is not ours":                  {"http://internal-vhost/public/x", "app.test", 421},
		"an address":                               {"http://127.0.0.1:80/public/x", "app.test", 421},
		"user information":                         {"https://app.test@evil.test/public/x", "app.test", 421},
		"user information of the right host":       {"https://evil@app.test/public/x", "app.test", 400},
		"another scheme":                           {"http://app.test/public/x", "app.test", 400},
		"no web scheme":                            {"ftp://app.test/public/x", "app.test", 400},
		"another port":                             {"https://app.test:8443/public/x", "app.test", 421},
		"dots behind it":                           {"https://app.test/public/../admin/x", "app.test", 400},
		"slashes behind it":                        {"https://app.test//public/x", "app.test", 400},
		"a fragment":                               {"https://app.test#/public/x", "app.test", 400},
	} {
		t.Run(name, func(t *testing.T) {
			l := l.on(t)
			l.refused(l.send("GET", c.target, "Host: "+c.host), c.status)
		})
	}
	for target, sees := range map[string]string{
		"https://open.test/q/x?y": "/q/x?y", "HTTPS://OPEN.TEST/q": "/q", "https://open.test:443/q?": "/q?",
	} {
		t.Run(target, func(t *testing.T) {
			l := l.on(t)
			got := l.passed(l.send("GET", target, "Host: app.test"))
			if got.RequestURI != sees || got.Host != "open.test" {
				l.Errorf("E received %s of %s", got.RequestURI, got.Host)
			}
		})
	}
	t.Run("h2: authority wins over host, which goes nowhere", func(t *testing.T) {
		l := l.on(t)
		h := l.h2()
		h.headers(1, true, ":method: GET", ":scheme: https", ":authority: open.test", ":path: /q/x", "host: app.test")
		got := l.passed(h.read(1))
		if got.Host != "open.test" || strings.Contains(l.e.wire, "app.test") {
			l.Errorf("E read %q", l.e.wire)
		}
		h = l.h2()
		h.headers(1, true, ":method: GET", ":scheme: https", ":authority: app.test", ":path: /q/x", "host: open.test")
		l.refused(h.read(1), 401)
		h = l.h2()
		h.headers(1, true, ":method: GET", ":scheme: https", ":authority: evil@app.test", ":path: /public/x")
		l.refused(h.read(1), 0, 400, 421)
	})
}

func TestP015WhatIsStrippedStaysCanonical(t *testing.T) {
	l := newLab(t, nil)
	for target, sees := range map[string]string{
		"/strip": "/", "/strip/": "/", "/strip/x": "/x", "/strip/x/?y=1": "/x/?y=1", "/%73trip/a%20b/c%25": "/a%20b/c%25", "/strip/strip/x": "/strip/x", "/strip?": "/?", "/strip/a;b/c": "/a;b/c",
		"/strip/a|\xc3\xbc": "/a%7C%C3%BC",
	} {
		t.Run(target, func(t *testing.T) {
			l.both(t, "GET", target, nil, func(l *lab, a answer) {
				if got := l.passed(a); got.RequestURI != sees || !strings.HasPrefix(l.e.wire, "GET "+sees+" HTTP/1.1\r\n") {
					l.Errorf("E received %q", got.RequestURI)
				}
			})
		})
	}
}

func TestP016Methods(t *testing.T) {
	l := newLab(t, nil)
	for _, c := range [][2]string{{"CONNECT", "internal:443"}, {"CONNECT", "app.test:443"}, {"CONNECT", "/public/x"}, {"TRACE", "/public/x"}, {"FOO", "/public/x"}, {"get", "/public/x"}, {"TRACE", "/oauth2/callback"}} {
		t.Run(c[0]+" "+c[1], func(t *testing.T) {
			l := l.on(t)
			a := l.send(c[0], c[1], as("root"))
			l.refused(a, 405)
			if a.Header.Get("Allow") == "" {
				l.Error("the answer has no Allow")
			}
		})
	}
	t.Run("h2", func(t *testing.T) {
		l := l.on(t)
		h := l.h2()
		h.headers(1, true, ":method: CONNECT", ":authority: internal:443")
		l.refused(h.read(1), 405)
		h = l.h2() // RFC 8441
		h.headers(1, false, ":method: CONNECT", ":protocol: websocket", ":scheme: https", ":authority: app.test", ":path: /public/x")
		l.refused(h.read(1), 0, 400, 405)
		for _, m := range []string{"TRACE", "FOO", "get"} {
			l.refused(l.send2(m, "/public/x"), 405)
		}
		l.refused(l.send2("GET /admin HTTP/1.1", "/public/x"), 0, 405)
	})
	for _, m := range []string{"OPTIONS", "PROPFIND", "REPORT", "PATCH"} {
		l.both(t, m, "/public/x", nil, func(l *lab, a answer) {
			if got := l.passed(a); got.Method != m {
				l.Errorf("E received %s", got.Method)
			}
		})
	}
}

func TestP017MethodOverridesGoNowhere(t *testing.T) {
	l := newLab(t, nil)
	lines := []string{"X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE"}
	l.both(t, "GET", "/public/x?_method=DELETE", lines, func(l *lab, a answer) {
		got := l.passed(a)
		got.lacks(l, "X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
		if got.Method != "GET" {
			l.Errorf("E received %s", got.Method)
		}
	})
}

func TestP018QueriesKeepTheirBytes(t *testing.T) {
	l := newLab(t, nil)
	for _, query := range []string{"?a=1;b=2&c=3", "?", "??", "?a=b=c&&d", "?%00", "?q=%2f..%2f", "?[]={}|^`\"<>\\", "?\xff\xc3\xbc", "?;", "?a=%26%3D%23"} {
		t.Run(query, func(t *testing.T) {
			l.both(t, "GET", "/public/x"+query, nil, func(l *lab, a answer) {
				if got := l.passed(a); got.RequestURI != "/public/x"+query {
					l.Errorf("E received %q", got.RequestURI)
				}
			})
		})
	}
}

func TestP019HeadersThatNameAnotherURLGoNowhere(t *testing.T) {
	l := newLab(t, nil)
	names := []string{"X-Original-URL", "X-Original-Uri", "X-Rewrite-URL", "X-Forwarded-Uri", "X-Forwarded-Path", "X-Forwarded-Method", "X-Envoy-Original-Path", "X-Original-Method", "X-HTTP-DestinationURL", "X-Script-Name", "Script-Name"}
	var lines []string
	for _, name := range names {
		lines = append(lines, name+": /admin/x")
	}
	l.both(t, "GET", "/public/x", lines, func(l *lab, a answer) {
		got := l.passed(a)
		got.lacks(l, names...)
		if strings.Contains(l.e.wire, "/admin") {
			l.Errorf("E read %q", l.e.wire)
		}
	})
}

func TestP020AHostOfOneRuleAndAPathOfAnother(t *testing.T) {
	l := newLab(t, nil)
	for _, c := range []struct {
		host, target string
		status       int
	}{{"open.test", "/public/x", 404}, {"open.test", "/", 404}, {"open.test", "/admin", 404}, {"app.test", "/q", 401}, {"app.test", "/q/x", 401}} {
		l.both(t, "GET", c.target, []string{"Host: " + c.host}, func(l *lab, a answer) { l.refused(a, c.status) })
	}
	l.both(t, "GET", "/q/x", []string{"Host: open.test"}, func(l *lab, a answer) {
		if got := l.passed(a); got.Host != "open.test" || a.StatusCode != http.StatusOK {
			l.Errorf("E received %s", got.Host)
		}
	})
}
