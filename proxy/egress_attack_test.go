package proxy

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/pages"
)

// Group L, outbound: a token goes to the scheme, host and port that the configuration names, and nowhere else.

// distant has upstreams that are elsewhere; f notes what would be sent there.
func distant(t testing.TB) (*outside, *far) {
	f := &far{}
	return newOutside(t, func(o *outside, c *EgressConfig, d *EgressDeps) {
		d.Transport = f
		c.Targets = []EgressTarget{
			{Name: "api", Host: "data.local", Upstreams: []*url.URL{address("https://api.test")}, Credential: "service"},
			{Name: "odd", Upstreams: []*url.URL{address("https://odd.test:8443/base")}, Credential: "service"},
			{Name: "plain", Upstreams: []*url.URL{address("http://plain.test")}, Credential: "service"},
		}
	}), f
}

func TestP146TheTokenGoesToNoOtherHost(t *testing.T) {
	o, f := distant(t)
	nothing := func(t *testing.T, o *outside, a answer, statuses ...int) {
		t.Helper()
		o.refused(a, statuses...)
		if sent := f.take(); sent != nil {
			t.Errorf("sent: %q", sent)
		}
	}
	for _, host := range []string{
		"evil.test", "api.test", "data.local.evil.test", "evildata.local", "data.local@evil.test", "evil.test@data.local", "data.local:81", "data.local:443",
		"data.locaI", "data.local..", ".data.local", "data.local%2eevil.test", "data%2elocal", "d\xc3\xa4ta.local", "data.local,evil.test", "data.local/x",
		"data.local#", "data.local?x", "[::1]", "127.0.0.1", "127.0.0.1:1", "localhost", "0.0.0.0:" + port(o.self), "[::]:" + port(o.self), "xn--data.local", "data local", `data.local\evil.test`, "data.local:0", "data.local:080", "",
	} {
		t.Run("Host "+host, func(t *testing.T) {
			o.twice(t, "GET", "/x", []string{"Host: " + host}, func(o *outside, a answer) {
				if a.StatusCode == 0 {
					a.StatusCode = 400 // net/http resets it
				}
				nothing(o.T, o, a, 400, 403)
			})
		})
	}
	for _, target := range []string{
		"http://evil.test/", "http://api.test@evil.test/", "https://api.test@evil.test/", "http://evil.test@api.test/", "http://user:pw@data.local/x", "http://@api.test/", "https://api.test.evil.test/", "https://evil.test/?api.test", "http://evil.test/api.test",
		"http://evil.test#api.test", "http://api.test#@evil.test/", `http://api.test\@evil.test/`, "http://api.test:81/", "http://api.test:8443/", "https://api.test:80/", "https://data.local/", "https://plain.test/", "https://plain.test:80/", "http://plain.test:443/",
		"ftp://api.test/", "ws://api.test/", "//api.test/", "api.test/", "http:api.test/", "http:/api.test/", "http:///api.test/", "http://api.test..", "http://.api.test/", "http://api%2etest/", "http://api.test%00.evil.test/", "http://api.test%20/", "http://[api.test]/", "http://odd.test/base", "http://odd.test:8443/", "http://odd.test:8443/bas", "http://odd.test:8443/base/../x", "http://odd.test:8443/base/%2e%2e/x", "http://odd.test:8443/basement/x", "http://odd.test:443/base",
		"http://169.254.169.254/latest/meta-data", "http://[::1]/", "http://2130706433/", "http://0x7f.1/", "http://localtest.me/",
	} {
		t.Run(target, func(t *testing.T) {
			o := o.on(t)
			nothing(t, o, o.call("GET", target, "Host: api.test"), 400, 403)
			nothing(t, o, o.call("GET", target, "Host: data.local"), 400, 403)
			nothing(t, o, o.send2("GET", target, "Host: evil.test"), 400, 403, 0)
		})
	}
	for _, target := range []string{"/nope/x", "/ap", "/apis/x", "/API/x", "/api;x/y", "/x/api", "/", "/%2e%2e/api", "/nope/../api/x", "//api/x", "/./api/x", `/\api/x`, "/api%2fx"} {
		t.Run(target, func(t *testing.T) {
			o.twice(t, "GET", target, nil, func(o *outside, a answer) {
				if a.StatusCode == 0 {
					a.StatusCode = 400
				}
				nothing(o.T, o, a, 400, 403)
			})
		})
	}
}

func TestP146WhatIsSentGoesWhereTheConfigurationSays(t *testing.T) {
	o, f := distant(t)
	const with = " with Bearer " + theToken
	for call, want := range map[[2]string]string{
		{"/x", "data.local"}:                                "https://api.test/x api.test",
		{"/x?u=https://evil.test/", "data.local"}:           "https://api.test/x?u=https://evil.test/ api.test",
		{"/@evil.test/x", "data.local"}:                     "https://api.test/@evil.test/x api.test",
		{"/api/https://evil.test", ""}:                      "",
		{"/plain/x", ""}:                                    "http://plain.test/x plain.test",
		{"/odd/x", ""}:                                      "https://odd.test:8443/base/x odd.test:8443",
		{"http://api.test/x", "evil.test"}:                  "https://api.test/x api.test",
		{"http://api.test:80/x", "api.test"}:                "https://api.test/x api.test",
		{"http://api.test:443/x", "api.test"}:               "https://api.test/x api.test",
		{"https://api.test/x", "api.test"}:                  "https://api.test/x api.test",
		{"https://api.test:443/x", "api.test"}:              "https://api.test/x api.test",
		{"http://API.test./x", "api.test"}:                  "https://api.test/x api.test",
		{"http://odd.test:8443/base/x", "odd.test"}:         "https://odd.test:8443/base/x odd.test:8443",
		{"http://plain.test/x", "plain.test"}:               "http://plain.test/x plain.test",
		{"http://data.local/http://evil.test", "evil.test"}: "",
	} {
		t.Run(call[0], func(t *testing.T) {
			o := o.on(t)
			host := call[1]
			if host == "" {
				host = o.self
			}
			a := o.call("GET", call[0], "Host: "+host)
			sent := strings.Join(f.take(), "\n")
			switch {
			case want == "" && (a.StatusCode != 400 || sent != ""):
				t.Errorf("%s, sent %q", a.Status, sent)
			case want != "" && (a.StatusCode != 200 || sent != want+with):
				t.Errorf("%s, sent %q", a.Status, sent)
			}
		})
	}
}

func TestP146HopsCannotTakeTheTokenAwayNorAddAnother(t *testing.T) {
	o := newOutside(t, nil)
	o.twice(t, "GET", "/data/x", []string{"Connection: Authorization, close"}, func(o *outside, a answer) {
		if o.e.take(); a.ProtoMajor == 2 {
			return // not HTTP/2 at all
		}
	})
	got := o.passed(o.call("GET", "/data/x", "Connection: Authorization, close", "Authorization: Basic bWU6bWU="))
	got.one(t, "Authorization", "Bearer "+theToken)
	got = o.passed(o.call("POST", "/data/x", "Transfer-Encoding: chunked", "Trailer: Authorization", "Connection: close\r\n\r\n1\r\na\r\n0\r\nAuthorization: Bearer mine"))
	got.one(t, "Authorization", "Bearer "+theToken)
	if len(got.trailer) != 0 {
		t.Errorf("trailers %v", got.trailer)
	}
	got = o.passed(o.call("GET", "/data/x", "Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQAAP__"))
	got.lacks(t, "Upgrade", "Http2-Settings")
}

func TestP147RedirectsAreReturnedAndNotFollowed(t *testing.T) {
	x := newCapture(t)
	o := newOutside(t, nil)
	for _, status := range []int{301, 302, 303, 307, 308} {
		o.e.answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", x.url.String()+"/loot")
			w.WriteHeader(status)
		})
		o.twice(t, "GET", "/data/x", nil, func(o *outside, a answer) {
			if a.StatusCode != status || a.Header.Get("Location") != x.url.String()+"/loot" || len(o.e.take()) != 1 {
				o.Errorf("%s %s", a.Status, a.Header.Get("Location"))
			}
		})
		if got := x.take(); len(got) != 0 {
			t.Errorf("X received %v", got)
		}
	}
}

func TestP147ARedirectMeansToTheApplicationWhatTheUpstreamMeans(t *testing.T) {
	o := newOutside(t, func(o *outside, c *EgressConfig, _ *EgressDeps) {
		deep := *o.e.url
		deep.Path = "/v1"
		c.Targets[0].Upstreams = []*url.URL{&deep}
	})
	here := o.e.url.String()
	for location, want := range map[string][3]string{ // by path, by host, by the upstream's own address
		"/v1/y?z#f":             {"/data/y?z#f", "/y?z#f", "/v1/y?z#f"},
		"y":                     {"/data/a/y", "/a/y", "/v1/a/y"},
		"../y":                  {"/data/y", "/y", "/v1/y"},
		"?z":                    {"/data/a/x?z", "/a/x?z", "/v1/a/x?z"},
		here + "/v1/y":          {"/data/y", "/y", "/v1/y"},
		here + "/v1":            {"/data/", "/", "/v1"},
		"/open/y":               {here + "/open/y", here + "/open/y", here + "/open/y"}, // or it would lead to another target
		"/v11/y":                {here + "/v11/y", here + "/v11/y", here + "/v11/y"},
		"/v1/../open/y":         {here + "/open/y", here + "/open/y", here + "/open/y"},
		"//evil.test/x":         {"http://evil.test/x", "http://evil.test/x", "http://evil.test/x"},
		"https://evil.test/v1/": {"https://evil.test/v1/", "https://evil.test/v1/", "https://evil.test/v1/"},
		"mailto:a@b":            {"mailto:a@b", "mailto:a@b", "mailto:a@b"},
	} {
		o.e.answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Location"] = []string{location}
			w.WriteHeader(http.StatusFound)
		})
		for i, call := range [][2]string{{"/data/a/x", o.self}, {"/a/x", "data.local"}, {here + "/v1/a/x", "x"}} {
			a := o.call("GET", call[0], "Host: "+call[1])
			if i == 2 && a.StatusCode == 403 {
				continue // several targets have this upstream, and one of them a longer path
			}
			if got := a.Header.Get("Location"); got != want[i] {
				t.Errorf("%q for %s: %q, want %q", location, call[0], got, want[i])
			}
		}
	}
}

func TestP148NoTokenLeavesInClearForAnUpstreamOfHTTPS(t *testing.T) {
	var e *capture
	o := newOutside(t, func(o *outside, c *EgressConfig, _ *EgressDeps) {
		u, roots, secure := o.secure(t)
		e = secure
		c.Targets = []EgressTarget{{Name: "data", Host: "data.local", Upstreams: []*url.URL{u}, Credential: "service", RootCAs: roots}}
	})
	secure := strings.TrimPrefix(e.server.URL, "https://")
	for _, call := range [][2]string{{"/data/x", o.self}, {"/x", "data.local"}, {"http://data.local/x", "data.local"}, {"http://" + secure + "/x", secure}, {"https://" + secure + "/x", secure}} {
		a := o.call("GET", call[0], "Host: "+call[1])
		got := e.take()
		if a.body != "E over TLS" || len(got) != 1 || got[0].TLS == nil || got[0].RequestURI != "/x" || got[0].Header.Get("Authorization") != "Bearer "+theToken {
			t.Errorf("%s: %s %q", call[0], a.Status, a.body)
		}
	}
}

func TestP150PagesInABrowserAreRefused(t *testing.T) {
	o := newOutside(t, nil)
	for _, line := range []string{
		"Origin: https://evil.test", "Origin: null", "Origin: http://" + o.self, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: none", "Sec-Fetch-Site: same-origin",
		"Sec-Fetch-Dest: image", "Sec-Fetch-User: ?1", "Sec-Purpose: prefetch", "Origin: ",
	} {
		t.Run(line, func(t *testing.T) {
			o.twice(t, "GET", "/data/x", []string{line}, func(o *outside, a answer) { o.refused(a, 403) })
			o.twice(t, "POST", "/token", []string{line}, func(o *outside, a answer) { o.refused(a, 403) })
		})
	}
	// DNS rebinding: no browser says more about an address that is not trustworthy to it, but it says the page's host.
	o.refused(o.call("GET", "/data/x", "Host: evil.test:"+port(o.self)), 403)
	o.refused(o.call("POST", "/token", "Host: evil.test:"+port(o.self), "Content-Length: 0"), 403)
	// fetch of Node.js is a program.
	o.passed(o.call("GET", "/data/x", "Sec-Fetch-Mode: cors", "User-Agent: node"))
}

func TestP016ATunnelIsRefusedWithTheAddressToCall(t *testing.T) {
	o, f := distant(t)
	for authority, want := range map[string]string{
		"api.test:443": "http://api.test/", "odd.test:8443": "http://odd.test:8443/", "data.local:443": "http://data.local/", "evil.test:443": "http://" + o.self + "/NAME/",
	} {
		a := o.raw("CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n\r\n")
		if a.StatusCode != http.StatusMethodNotAllowed || !strings.Contains(a.body, want) || a.Header.Get("Allow") == "" {
			t.Errorf("%s: %s %s", authority, a.Status, a.body)
		}
	}
	if sent := f.take(); sent != nil {
		t.Errorf("sent %q", sent)
	}
}

func TestP152TheApplicationsOwnAuthorizationGoesNoFurther(t *testing.T) {
	o := newOutside(t, nil)
	for _, own := range []string{"Authorization: Basic bWU6bWU=", "Authorization: Bearer mine", "Proxy-Authorization: Basic bWU6bWU=", "DPoP: eyJ", "X-Ok: 1"} {
		for _, path := range []string{"/data/x", "/open/x"} {
			o.twice(t, "GET", path, []string{own, "Cookie: app=1; __Host-doorward=x"}, func(o *outside, a answer) {
				got := o.passed(a)
				if path == "/data/x" {
					got.one(o.T, "Authorization", "Bearer "+theToken)
				} else {
					got.lacks(o.T, "Authorization")
				}
				got.lacks(o.T, "Proxy-Authorization", "Dpop")
				got.one(o.T, "Cookie", "app=1; __Host-doorward=x")
			})
		}
	}
	if strings.Contains(o.log.String(), "bWU6bWU") {
		t.Error("it is in the log")
	}
}

func TestP152ANameThatIsReadAsTheCredentialsGoesNoFurther(t *testing.T) {
	o := newOutside(t, func(o *outside, _ *EgressConfig, _ *EgressDeps) { o.vault.header, o.vault.scheme = "X-Api-Key", "" })
	o.twice(t, "GET", "/data/x", []string{"X-Api-Key: mine", "X_Api_Key: mine", "x.api.key: mine", "Api_Version: 2"}, func(o *outside, a answer) {
		got := o.passed(a)
		got.one(o.T, "X-Api-Key", theToken)
		if s := fmt.Sprint(got.Header); strings.Contains(s, "mine") || !strings.Contains(s, "Api_version") && !strings.Contains(s, "Api_Version") {
			o.Errorf("E received %s", s)
		}
	})
}

func TestACredentialMayBeACookieBesideThoseOfTheApplication(t *testing.T) {
	o := newOutside(t, func(o *outside, _ *EgressConfig, _ *EgressDeps) { o.vault.header, o.vault.scheme = "Cookie", "sid=" })
	o.twice(t, "GET", "/data/x", []string{"Cookie: a=1; sid=mine; b=2"}, func(o *outside, a answer) {
		o.passed(a).one(o.T, "Cookie", "a=1; b=2; sid="+theToken)
	})
	o.passed(o.call("GET", "/data/x")).one(t, "Cookie", "sid="+theToken)
}

func TestP153AnEchoOfTheTokenDoesNotReachTheApplication(t *testing.T) {
	o := newOutside(t, nil)
	o.e.answers(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-Echo"] = []string{"a", "you sent " + r.Header.Get("Authorization") + "!"}
		w.Header().Set("Location", "/x?t="+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		w.Header().Set("Trailer", "X-Late")
		_, _ = io.WriteString(w, "E")
		w.Header().Set("X-Late", r.Header.Get("Authorization"))
	})
	o.twice(t, "GET", "/data/x", nil, func(o *outside, a answer) {
		o.passed(a)
		if s := fmt.Sprint(a.Header, a.Trailer); strings.Contains(s, theToken) || !strings.Contains(s, "you sent Bearer "+scrubbed+"!") {
			o.Errorf("%s", s)
		}
	})
	if strings.Contains(o.log.String(), theToken) {
		t.Error("the token is in the log")
	}
}

func TestP139P140OnlyACheckedTokenIsASubject(t *testing.T) {
	o := newOutside(t, nil)
	for _, c := range []struct {
		lines  []string
		status int
		says   string
	}{
		{nil, 401, `Bearer realm=`},
		{[]string{"X-Subject-Token: bob"}, 401, `Bearer realm=`},
		{[]string{"Cookie: access_token=bob"}, 401, `Bearer realm=`},
		{[]string{"Authorization: Basic Ym9iOmJvYg=="}, 401, `Bearer realm=`},
		{[]string{"Authorization: Bearer"}, 401, `Bearer realm=`},
		{[]string{"Authorization: Bearer alice bob"}, 401, `Bearer realm=`},
		{[]string{"Authorization: Bearer alice, Bearer bob"}, 401, `Bearer realm=`},
		{[]string{"Authorization: Bearer al\xffice"}, 401, `Bearer realm=`},
		{[]string{"Authorization: Bearer alice", "Authorization: Bearer bob"}, 401, `Bearer realm=`},
		{[]string{"Authorization: Bearer expired"}, 401, `error="invalid_token"`},
		{[]string{"Authorization: Bearer narrow"}, 403, `error="insufficient_scope"`},
		{[]string{"Authorization: Bearer broken"}, 503, ``},
		{[]string{"Authorization: Bearer nobody"}, 503, ``},
	} {
		for _, path := range []string{"/shop/orders/x?subject_token=bob&access_token=bob", "/same/x"} {
			o.twice(t, "GET", path, c.lines, func(o *outside, a answer) {
				o.refused(a, c.status)
				if got := a.Header.Get("Www-Authenticate"); !strings.HasPrefix(got, "Bearer realm=") && c.says != "" || !strings.Contains(got, c.says) {
					o.Errorf("challenge %q", got)
				}
			})
		}
	}
	if len(o.vault.asked) != 0 {
		t.Error("a credential was obtained")
	}
	o.twice(t, "GET", "/shop/orders/x", []string{"Authorization: Bearer alice", "X-Subject-Token: bob"}, func(o *outside, a answer) {
		o.passed(a).one(o.T, "Authorization", "Bearer "+theToken+"-for-alice")
	})
	o.twice(t, "GET", "/same/x", []string{"Authorization: bearer alice"}, func(o *outside, a answer) {
		o.passed(a).one(o.T, "Authorization", "Bearer at-alice") // the checked token, from the identity
	})
	o.passed(o.call("GET", "/shop/orders/a%20b?q", "Authorization: DPoP alice", "DPoP: proof"))
	want := credentials.Presented{Token: "alice", Scheme: "DPoP", Method: "GET", URL: "http://" + o.self + "/shop/orders/a%20b"}
	if p := o.caller.last; p.Token != want.Token || p.Scheme != want.Scheme || p.Method != want.Method || p.URL != want.URL || len(p.Proofs) != 1 {
		t.Errorf("presented %+v", p)
	}
}

func TestP141NothingOfARequestChoosesTheToken(t *testing.T) {
	o := newOutside(t, nil)
	o.passed(o.call("GET", "/data/x?audience=admin-api&scope=admin&resource=x&credential=other", "X-Audience: admin-api", "X-Scope: admin")).one(t, "Authorization", "Bearer "+theToken)
	if len(o.vault.asked) != 1 || o.vault.asked[0] != nil {
		t.Errorf("asked for %v", o.vault.asked)
	}
}

func TestP145NothingIsSentWithoutAToken(t *testing.T) {
	o := newOutside(t, nil)
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{errors.New("odd"), 502, codeCredentialRefused},
		{&pages.Error{Code: codeProviderUnavailable, Err: errors.New("timeout")}, 503, codeProviderUnavailable},
		{&pages.Error{Code: codeCredentialRefused, Err: errors.New("400")}, 502, codeCredentialRefused},
		{&credentials.Refusal{Word: credentials.InvalidToken, Description: "The provider exchanges it no more"}, 401, codeInvalidToken},
		{&credentials.Refusal{Word: credentials.InsufficientClaims, Params: [][2]string{{"claims", "e30="}}}, 401, codeStepUp},
		{&credentials.Refusal{Word: credentials.InsufficientScope}, 403, codeInsufficientScope},
	} {
		o.vault.fails(c.err)
		for _, path := range []string{"/data/x", "/shop/orders/x"} {
			o.twice(t, "GET", path, []string{"Authorization: Bearer alice"}, func(o *outside, a answer) {
				o.refused(a, c.status)
				if a.ProtoMajor == 1 && a.code() != c.code {
					o.Errorf("code %q, not %q", a.code(), c.code)
				}
			})
		}
	}
	o.vault.fails(nil)
	for _, broken := range []func(){
		func() { o.vault.header = "" },
		func() { o.vault.header, o.vault.scheme = headerAuthorization, "Bearer \r\nX: " },
	} {
		broken()
		o.refused(o.call("GET", "/data/x"), 502)
	}
}

func TestP142TwoCallersTokensAreNeverSwapped(t *testing.T) {
	o := newOutside(t, nil)
	o.e.answers(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("Authorization")) })
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 20}}
	t.Cleanup(client.CloseIdleConnections)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			name := fmt.Sprintf("user%d", i)
			for _, path := range []string{"/shop/orders/x", "/same/x"} {
				r, _ := http.NewRequest(http.MethodGet, "http://"+o.self+path, nil)
				r.Header.Set("Authorization", "Bearer "+name)
				res, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				body, _ := io.ReadAll(res.Body)
				_ = res.Body.Close()
				if want := map[string]string{"/shop/orders/x": "Bearer " + theToken + "-for-" + name, "/same/x": "Bearer at-" + name}[path]; string(body) != want {
					t.Errorf("%s at %s got %q", name, path, body)
				}
			}
		})
	}
	wg.Wait()
}
