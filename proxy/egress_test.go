package proxy

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/pages"
)

func TestATargetIsCalledByPathByHostAndThroughTheProxy(t *testing.T) {
	o := newOutside(t, nil)
	base := "127.0.0.1:" + o.e.url.Port()
	for name, c := range map[string]struct{ target, host, want string }{
		"by path":                        {"/data/v1/x?y=1&z", "", "/v1/x?y=1&z"},
		"by path, nothing else":          {"/data", "", "/"},
		"by path, a slash":               {"/data/", "", "/"},
		"by path, encoded":               {"/d%61ta/a%20b", "", "/a%20b"},
		"by path, as localhost":          {"/data/x", "localhost:" + port(o.self), "/x"},
		"by host":                        {"/v1/x?", "data.local", "/v1/x?"},
		"by host with the listener's":    {"/data/x", "data.local:" + port(o.self), "/data/x"},
		"by host in capitals":            {"/x", "DATA.Local", "/x"},
		"absolute":                       {"http://data.local/x?y", "data.local", "/x?y"},
		"absolute, without a path":       {"http://data.local", "data.local", "/"},
		"absolute, only a query":         {"http://data.local?y", "data.local", "/?y"},
		"absolute, port written out":     {"http://data.local:80/x", "data.local:80", "/x"},
		"absolute, of the listener":      {"http://" + o.self + "/data/x", o.self, "/x"},
		"absolute, any scheme's letters": {"HTTP://data.local/x", "data.local", "/x"},
	} {
		t.Run(name, func(t *testing.T) {
			o := o.on(t)
			host := c.host
			if host == "" {
				host = o.self
			}
			got := o.passed(o.call("GET", c.target, "Host: "+host))
			if got.RequestURI != c.want || got.Host != base {
				t.Errorf("E received %s %s", got.Host, got.RequestURI)
			}
			got.one(t, "Authorization", "Bearer "+theToken)
			got.lacks(t, "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip")
		})
	}
}

func port(authority string) string { return authority[strings.LastIndexByte(authority, ':')+1:] }

func TestTheUpstreamsPathStandsBeforeThatOfACall(t *testing.T) {
	o := newOutside(t, func(o *outside, c *EgressConfig, _ *EgressDeps) {
		deep := *o.e.url
		deep.Path = "/api/v2/"
		c.Targets = []EgressTarget{
			{Name: "deep", Path: "/a/b", Upstreams: []*url.URL{&deep}, Credential: "service"},
			{Name: "shallow", Path: "/a", Upstreams: []*url.URL{o.e.url}, Credential: "none"},
		}
	})
	if got := o.passed(o.call("GET", "/a/b/x")); got.RequestURI != "/api/v2/x" || got.Header.Get("Authorization") == "" {
		t.Errorf("E received %s", got.RequestURI)
	}
	if got := o.passed(o.call("GET", "/a/bc/x")); got.RequestURI != "/bc/x" || got.Header.Get("Authorization") != "" {
		t.Errorf("E received %s", got.RequestURI)
	}
	// By its own address the path is the upstream's whole.
	if got := o.passed(o.call("GET", "http://"+o.e.url.Host+"/api/v2/x", "Host: x")); got.RequestURI != "/api/v2/x" || got.Header.Get("Authorization") == "" {
		t.Errorf("E received %s", got.RequestURI)
	}
	if got := o.passed(o.call("GET", "http://"+o.e.url.Host+"/api/x", "Host: x")); got.RequestURI != "/api/x" || got.Header.Get("Authorization") != "" {
		t.Errorf("E received %s", got.RequestURI)
	}
}

func TestTheTokenAPIIsTheListenersOnly(t *testing.T) {
	o := newOutside(t, nil)
	for _, path := range []string{"/token", "/token/exchange", "/introspect", "/api/v1/token", "/api/v1/token/exchange", "/api/v1/introspect"} {
		if a := o.call("POST", path, "Content-Length: 0"); a.StatusCode != http.StatusOK || a.body != "API "+path {
			t.Errorf("%s: %s %s", path, a.Status, a.body)
		}
		if a := o.call("POST", "http://"+o.self+path, "Host: "+o.self, "Content-Length: 0"); a.body != "API "+path {
			t.Errorf("absolute %s: %s %s", path, a.Status, a.body)
		}
		if got := o.passed(o.call("POST", path, "Host: data.local", "Content-Length: 0")); got.RequestURI != path {
			t.Errorf("E received %s", got.RequestURI)
		}
		o.refused(o.call("POST", path, "Host: evil.test", "Content-Length: 0"), 403)
		o.refused(o.call("POST", path, "Sec-Fetch-Site: cross-site", "Content-Length: 0"), 403)
	}
	for _, path := range []string{"/token;x", "/Token", "/api/v2/token", "/introspection", "/api", "/api/v1", "/api/v1/orders"} {
		o.refused(o.call("POST", path, "Content-Length: 0"), 403)
	}
	api := newOutside(t, func(_ *outside, c *EgressConfig, _ *EgressDeps) { c.Targets[0].Path = "/api" })
	if got := api.passed(api.call("GET", "/api/v1/orders")); got.RequestURI != "/v1/orders" {
		t.Errorf("E received %s", got.RequestURI)
	}
	if a := api.call("POST", "/api/v1/token", "Content-Length: 0"); a.body != "API /api/v1/token" {
		t.Errorf("%s %s", a.Status, a.body)
	}
	without := newOutside(t, func(_ *outside, _ *EgressConfig, d *EgressDeps) { d.API = nil })
	without.refused(without.call("POST", "/token", "Content-Length: 0"), 403)
}

func TestMethodsAreThoseOfTheTarget(t *testing.T) {
	o := newOutside(t, nil)
	o.passed(o.call("GET", "/read/x"))
	if got := o.passed(o.call("HEAD", "/read/x")); got.Method != "HEAD" {
		t.Errorf("E received %s", got.Method)
	}
	for _, m := range []string{"POST", "DELETE", "TRACE", "get"} {
		a := o.call(m, "/read/x", "Content-Length: 0")
		o.refused(a, 405)
	}
	if a := o.call("POST", "/read/x", "Content-Length: 0"); a.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow: %s", a.Header.Get("Allow"))
	}
	for _, m := range []string{"COPY", "MOVE", "TRACE", "FOO"} {
		o.refused(o.call(m, "/data/x", "Destination: http://evil.test/"), 405)
	}
	o.passed(o.call("PROPFIND", "/data/x"))
	got := o.passed(o.call("GET", "/read/x", "X-HTTP-Method-Override: DELETE"))
	got.lacks(t, "X-Http-Method-Override")
}

func TestAConfigurationThatMeansTwoThingsIsRefused(t *testing.T) {
	p, err := pages.New(pages.Config{Prefix: "/oauth2"})
	if err != nil {
		t.Fatal(err)
	}
	api, other := address("https://api.test"), address("http://10.1.2.3:8080/v1")
	source := newVault("x")
	person := newVault("x")
	person.personal = true
	one := func(change func(*EgressTarget)) []EgressTarget {
		t := EgressTarget{Name: "data", Upstreams: []*url.URL{api}, Credential: "service"}
		change(&t)
		return []EgressTarget{t}
	}
	two := func(change func(a, b *EgressTarget)) []EgressTarget {
		a, b := EgressTarget{Name: "a", Upstreams: []*url.URL{api}}, EgressTarget{Name: "b", Upstreams: []*url.URL{other}}
		change(&a, &b)
		return []EgressTarget{a, b}
	}
	for name, c := range map[string]struct {
		targets []EgressTarget
		want    string
	}{
		"no upstream":           {one(func(t *EgressTarget) { t.Upstreams = nil }), "egress.data: upstream: "},
		"upstream with user":    {one(func(t *EgressTarget) { t.Upstreams = []*url.URL{address("https://a:b@api.test")} }), "upstream: "},
		"upstream is metadata":  {one(func(t *EgressTarget) { t.Upstreams = []*url.URL{address("http://metadata.google.internal")} }), "upstream: "},
		"upstream is itself":    {one(func(t *EgressTarget) { t.Upstreams = []*url.URL{address("http://127.0.0.1:4182")} }), "upstream: "},
		"itself by name":        {one(func(t *EgressTarget) { t.Upstreams = []*url.URL{address("http://localhost:4182")} }), "upstream: "},
		"no such credential":    {one(func(t *EgressTarget) { t.Credential = "nope" }), "credential: "},
		"session without":       {one(func(t *EgressTarget) { t.Credential = "session" }), "credential: "},
		"ID token":              {one(func(t *EgressTarget) { t.Credential = "id_token" }), "credential: "},
		"for nobody":            {one(func(t *EgressTarget) { t.Credential = "person" }), "credential: "},
		"accept":                {one(func(t *EgressTarget) { t.Accept = "session" }), "accept: "},
		"nobody checks":         {one(func(t *EgressTarget) { t.Accept = "bearer" }), "accept: "},
		"path of the token API": {one(func(t *EgressTarget) { t.Path = "/token" }), "path: "},
		"path below it":         {one(func(t *EgressTarget) { t.Path = "/api/v1/token/x" }), "path: "},
		"name of the token API": {one(func(t *EgressTarget) { t.Name = "introspect" }), "egress.introspect: path: "},
		"path is all":           {one(func(t *EgressTarget) { t.Path = "/" }), "path: "},
		"path in two ways":      {one(func(t *EgressTarget) { t.Path = "/a/../b" }), "path: "},
		"host is a URL":         {one(func(t *EgressTarget) { t.Host = "http://data.local" }), "host: "},
		"host is the listener":  {one(func(t *EgressTarget) { t.Host = "127.0.0.1:4182" }), "host: "},
		"host is no name":       {one(func(t *EgressTarget) { t.Host = "a@b" }), "host: "},
		"CONNECT":               {one(func(t *EgressTarget) { t.Methods = []string{"CONNECT"} }), "methods: "},
		"MOVE":                  {one(func(t *EgressTarget) { t.Methods = []string{"MOVE"} }), "methods: "},
		"no certificate":        {one(func(t *EgressTarget) { t.RootCAs = []byte("x") }), "ca_file: "},
		"concurrent":            {one(func(t *EgressTarget) { t.Concurrent = -1 }), "concurrent: "},
		"retries":               {one(func(t *EgressTarget) { t.Retries = -1 }), "retries: "},
		"timeout":               {one(func(t *EgressTarget) { t.Timeout = -1 }), "timeout: "},
		"one host twice":        {two(func(a, b *EgressTarget) { a.Host, b.Host = "x.local", "X.local" }), "egress.b: host: "},
		"one path twice":        {two(func(a, b *EgressTarget) { a.Path, b.Path = "/x", "/x/" }), "egress.b: path: "},
		"host of another's":     {two(func(_, b *EgressTarget) { b.Host = "api.test" }), "egress.a: upstream: "},
		"host of its own":       {two(func(_, b *EgressTarget) { b.Host = "10.1.2.3:8080" }), "egress.b: host: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewEgress(EgressConfig{Self: []string{"127.0.0.1:4182"}, Targets: c.targets}, EgressDeps{
				Pages: p, Log: slog.New(slog.DiscardHandler), Sources: map[string]Source{"service": source, "person": person},
			})
			if err == nil || !strings.HasPrefix(err.Error(), "egress.") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

func TestTheUpstreamsOfSeveralTargetsAreToldApart(t *testing.T) {
	f := &far{}
	o := newOutside(t, func(o *outside, c *EgressConfig, d *EgressDeps) {
		d.Transport = f
		c.Targets = nil
		for name, u := range map[string]string{"tls": "https://both.test", "plain": "http://both.test", "a": "https://api.test/a", "ab": "https://api.test/a/b", "one": "https://twice.test", "two": "https://twice.test"} {
			d.Sources[name] = newVault("token-of-" + name)
			c.Targets = append(c.Targets, EgressTarget{Name: name, Upstreams: []*url.URL{address(u)}, Credential: name})
		}
	})
	for call, want := range map[string]string{
		"http://both.test/x":        "http://both.test/x both.test with Bearer token-of-plain", // a target of its own is no upgrade
		"https://both.test/x":       "https://both.test/x both.test with Bearer token-of-tls",
		"http://both.test:443/x":    "https://both.test/x both.test with Bearer token-of-tls",
		"http://api.test/a/x":       "https://api.test/a/x api.test with Bearer token-of-a",
		"http://api.test/a/bc":      "https://api.test/a/bc api.test with Bearer token-of-a",
		"http://api.test/a/b/x":     "https://api.test/a/b/x api.test with Bearer token-of-ab",
		"http://api.test/a/b":       "https://api.test/a/b api.test with Bearer token-of-ab",
		"http://api.test/x":         "",
		"http://twice.test/x":       "", // nobody could say whose token is meant
		"http://" + o.self + "/two": "https://twice.test/ twice.test with Bearer token-of-two",
	} {
		a := o.call("GET", call, "Host: x")
		switch sent := strings.Join(f.take(), "\n"); {
		case sent != want:
			t.Errorf("%s: sent %q", call, sent)
		case want == "" && (a.StatusCode != http.StatusForbidden || a.code() != codeNoSuchTarget):
			t.Errorf("%s: %s %s", call, a.Status, a.body)
		}
	}
}
