package proxy

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// Applications follow redirects by themselves, and the listener gives each request the token of its target: an upstream
// must not be able to send an application to another target.
func TestP147AnUpstreamCannotSendAnApplicationToAnotherTarget(t *testing.T) {
	o := newOutside(t, nil)
	self, p := o.self, port(o.self)
	for name, lines := range map[string][]string{
		"two":                           {"/open/y", "/open/y"},
		"two, the second one odd":       {"/y", "http://" + self + "/open/y"},
		"a scheme without a host":       {"http:/open/y"}, // urllib takes it for a path of the address that it called
		"a scheme and a path":           {"http:../open/y"},
		"https without a host":          {"https:///open/y"},
		"what cannot be read":           {"/open/%zz"},
		"our address":                   {"http://" + self + "/open/y"},
		"our address, as the page's":    {"//" + self + "/open/y"},
		"with a user":                   {"http://a@" + self + "/open/y"},
		"by name":                       {"http://localhost:" + p + "/open/y"},
		"by name, with a dot":           {"http://LOCALHOST.:" + p + "/open/y"},
		"port with zeros":               {"http://127.0.0.1:0" + p + "/open/y"},
		"a shorter spelling":            {"http://127.1:" + p + "/open/y"},
		"one number":                    {"http://2130706433:" + p + "/open/y"},
		"hexadecimal":                   {"http://0x7f.0.0.0x1:" + p + "/open/y"},
		"octal":                         {"http://0177.0.0.1:" + p + "/open/y"},
		"letters that are normalised":   {"http://\uff4cocalhost:" + p + "/open/y"},
		"a host of another":             {"http://other.local/y"},
		"a host of another, and a port": {"http://other.local:" + p + "/y"},
		"a soft hyphen":                 {"http://oth\u00ader.local/y"},
	} {
		t.Run(name, func(t *testing.T) {
			o := newOutside(t, func(o *outside, c *EgressConfig, _ *EgressDeps) {
				c.Self = []string{self} // of the addresses above
				c.Targets = append(c.Targets, EgressTarget{Name: "other", Host: "other.local", Upstreams: []*url.URL{address("http://127.0.0.1:1")}, Credential: "service"})
			})
			o.e.answers(func(w http.ResponseWriter, _ *http.Request) {
				w.Header()["Location"] = lines
				w.WriteHeader(http.StatusFound)
			})
			a := o.call("GET", "/x", "Host: data.local")
			if got := a.Header["Location"]; a.StatusCode != http.StatusFound || got != nil {
				t.Errorf("%s to %q", a.Status, got)
			}
		})
	}
}

func TestARedirectToElsewhereIsTheApplicationsToFollow(t *testing.T) {
	o := newOutside(t, func(_ *outside, c *EgressConfig, _ *EgressDeps) {
		c.Targets = append(c.Targets, EgressTarget{Name: "public", Host: "api.test", Upstreams: []*url.URL{address("https://api.test")}, Credential: "service"})
	})
	for _, location := range []string{
		"https://bucket_1.s3.test/x?sig=a%2Fb", "http://10.1.2.3:8080/x", "http://[2001:db8::1]/x", "http://api.test/x", "https://api.test/x", "http://data.local.example/x", "http://user@evil.test/", "http://data.local/y", "mailto:a@b", "app://other.local/x",
	} {
		o.e.answers(func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Location"] = []string{location}
			w.WriteHeader(http.StatusFound)
		})
		if a := o.call("GET", "/data/x"); !slices.Equal(a.Header["Location"], []string{location}) {
			t.Errorf("%s became %q", location, a.Header["Location"])
		}
	}
}

// An application that keeps cookies (a session of requests) files them by host and path, and by path all targets have
// one host.
func TestACookieOfOneUpstreamIsNotSentToAnother(t *testing.T) {
	o := newOutside(t, nil)
	o.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Set-Cookie"] = []string{"a=1", "b=2; Path=/; HttpOnly", "c=3; path = /open ;Domain=127.0.0.1;Path=/", "d=; Max-Age=0"}
	})
	a := o.call("GET", "/data/x/y")
	want := []string{"a=1; Path=/data", "b=2; HttpOnly; Path=/data", "c=3; Path=/data", "d=; Max-Age=0; Path=/data"}
	if got := a.Header["Set-Cookie"]; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	a = o.call("GET", "/x", "Host: data.local")
	if got := strings.Join(a.Header["Set-Cookie"], "|"); !strings.HasPrefix(got, "a=1|b=2; Path=/; HttpOnly|c=3; path = /open") {
		t.Errorf("by host: %q", got)
	}
}

// FuzzRedirect: whatever an upstream says, following it leads to its own target, or away from the listener.
func FuzzRedirect(f *testing.F) {
	for _, s := range []string{"/v1/y", "/open/y", "//127.0.0.1:4182/open", "http:/open/y", "http://127.1:4182/x", "http://data.local/", "..//open/y", "/v1/..%2f..%2fopen", `\open\y`, "?x", "#f", "https://[::1]:4182/x", "http://\uff4cocalhost:4182/x", "/v1/%2e%2e/open"} {
		f.Add(s)
	}
	o := newOutside(f, func(_ *outside, c *EgressConfig, _ *EgressDeps) {
		c.Self = []string{"127.0.0.1:4182"}
		c.Targets[0].Upstreams = []*url.URL{address("http://api.test/v1")}
	})
	t := o.egress.directory.paths["data"][0]
	f.Fuzz(func(tt *testing.T, location string) {
		v := &trip{egress: o.egress, target: t, upstream: &t.upstreams[0], call: &call{target: t, prefix: "/data", encoded: "/a/x", decoded: "/a/x", authority: "127.0.0.1:4182"}}
		h := http.Header{"Location": {location}}
		v.translateLocation(h)
		if h["Location"] == nil {
			return
		}
		base := address("http://127.0.0.1:4182/data/a/x")
		to, err := base.Parse(h.Get("Location"))
		if err != nil {
			tt.Fatalf("%q became %q: %v", location, h.Get("Location"), err)
		}
		if to.Scheme != "http" {
			return
		}
		found := &call{in: &http.Request{Method: http.MethodGet, Host: to.Host, RequestURI: to.RequestURI(), URL: to, ProtoMajor: 1}}
		if err := o.egress.directory.find(unheard{http.Header{}}, found); err == nil && found.target != t {
			tt.Errorf("%q became %q, which leads to %v", location, h.Get("Location"), found.target)
		}
	})
}
