package proxy

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/telemetry"
)

var (
	appTest = origin.Origin{Scheme: "https", Host: "app.test"}
	apiTest = origin.Origin{Scheme: "https", Host: "api.test"}
)

// routed makes a table of routes written as "name host path methods"; host "*" is every host.
func routed(t testing.TB, lines ...string) (*table, error) {
	t.Helper()
	set, err := origin.NewSet(appTest, apiTest)
	if err != nil {
		t.Fatal(err)
	}
	var routes []*route
	for _, line := range lines {
		f := strings.Fields(line)
		rt := &route{name: f[0]}
		if f[1] != "*" {
			rt.hosts = []origin.Origin{{Scheme: "https", Host: f[1]}}
		}
		if err := rt.setPath(Route{Path: f[2]}, "/oauth2"); err != nil {
			t.Fatal(err)
		}
		if err := rt.setMethods(f[3:]); err != nil {
			t.Fatal(err)
		}
		routes = append(routes, rt)
	}
	return newTable(routes, newSites(set))
}

func find(t testing.TB, table *table, o origin.Origin, method, path string) string {
	t.Helper()
	_, decoded, refusal := parsePath(path)
	if refusal != "" {
		t.Fatal(refusal)
	}
	w := httptest.NewRecorder()
	rt, err := table.Find(w, &CanonicalRequest{Method: method, Origin: o, decoded: decoded, record: &telemetry.Record{}})
	if err != nil {
		return strings.TrimSpace(strings.SplitN(err.Error(), ":", 2)[0] + " " + w.Header().Get("Allow"))
	}
	return rt.name
}

func TestRoutesAreFoundByHostThenLongestPrefixThenMethod(t *testing.T) {
	table, err := routed(
		t,
		"root app.test /",
		"admin app.test /admin",
		"users app.test /admin/users GET POST",
		"users-put app.test /admin/users PUT",
		"assets * /assets",
		"app-assets app.test /assets/own",
		"shared-root * /shared",
		"app-shared app.test /shared",
		"spaced app.test /a%20b",
		"fetch app.test /fetch GET",
		"odd app.test /odd FOO get",
		"everywhere * /x/y/z",
	)
	if err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]string{
		"GET app.test /":                      "root",
		"GET app.test /x":                     "root",
		"GET app.test /admin":                 "admin",
		"GET app.test /admin/":                "admin",
		"GET app.test /admin/x/y":             "admin",
		"GET app.test /adminx":                "root",
		"GET app.test /ADMIN/x":               "root",
		"GET app.test /%61dmin/x":             "admin",
		"GET app.test /admin%2E":              "bad_request", // PX-3
		"GET app.test /admin.":                "bad_request",
		"GET app.test /admin%20/x":            "bad_request",
		"GET app.test /admin.html":            "root",
		"GET app.test /admin/etc.":            "admin",
		"GET app.test /Inc.":                  "root",
		"GET app.test /admin/users/1":         "users",
		"PUT app.test /admin/users":           "users-put",
		"DELETE app.test /admin/users":        "method_not_allowed GET, HEAD, POST, PUT",
		"HEAD app.test /fetch/x":              "fetch",
		"POST app.test /fetch":                "method_not_allowed GET, HEAD",
		"OPTIONS app.test /fetch":             "method_not_allowed GET, HEAD",
		"GET app.test /assets/a.css":          "assets",
		"GET app.test /assets/own/a.css":      "app-assets",
		"GET app.test /shared/x":              "app-shared",
		"GET api.test /shared/x":              "shared-root",
		"GET api.test /assets":                "assets",
		"GET api.test /":                      "no_route",
		"GET api.test /x/y":                   "no_route",
		"GET app.test /x/y/z":                 "everywhere",
		"GET app.test /a%20b/c":               "spaced",
		"PROPFIND app.test /dav":              "root",
		"REPORT app.test /dav":                "root",
		"FOO app.test /dav":                   "method_not_allowed GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
		"get app.test /dav":                   "method_not_allowed GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS",
		"FOO app.test /odd":                   "odd",
		"GET app.test /odd":                   "method_not_allowed FOO, get",
		"GET app.test /x;jsessionid=1":        "root",
		"GET app.test /admin/x;jsessionid=1":  "admin",
		"GET app.test /admin;x=1/x":           "bad_request", // P009
		"GET app.test /assets;x/own/a":        "bad_request",
		"GET app.test /assets/own;x/a":        "bad_request",
		"GET api.test /nowhere;x/a":           "no_route",
		"GET api.test /assets;jsessionid=1":   "bad_request",
		"GET api.test /assets/x;jsessionid=1": "assets",
	} {
		f := strings.Fields(request)
		if got := find(t, table, origin.Origin{Scheme: "https", Host: f[1]}, f[0], f[2]); got != want {
			t.Errorf("%s: %q, not %q", request, got, want)
		}
	}
}

func TestS20RoutesThatCannotBeToldApartAreConfigurationErrors(t *testing.T) {
	for _, lines := range [][]string{
		{"a app.test /", "b app.test /"},
		{"a app.test /x GET", "b app.test /x/ HEAD"},
		{"a app.test /a%20b", "b app.test /%61%20b POST"},
		{"a * /", "b * /"},
		{"a app.test /a", "a app.test /b"},
		{"a nowhere.test /"},
	} {
		if _, err := routed(t, lines...); err == nil {
			t.Errorf("%q is accepted", lines)
		}
	}
}

func TestAThousandTimesMoreRoutesCostNothing(t *testing.T) {
	var lines []string
	for i := range 10000 {
		lines = append(lines, fmt.Sprintf("r%d app.test /team%d/app%d", i, i%100, i))
	}
	table, err := routed(t, append(lines, "root * /")...)
	if err != nil {
		t.Fatal(err)
	}
	if got := find(t, table, appTest, "GET", "/team17/app4217/x/y"); got != "r4217" {
		t.Errorf("found %q", got)
	}
	w, req := httptest.NewRecorder(), &CanonicalRequest{Method: "GET", Origin: appTest, decoded: "/team17/app4217/x/y", record: &telemetry.Record{}}
	if n := testing.AllocsPerRun(100, func() { _, _ = table.Find(w, req) }); n != 0 {
		t.Errorf("a look-up allocates %v times", n)
	}
}

// BenchmarkFind: a look-up costs the same whatever the number of routes, with and without matches.
func BenchmarkFind(b *testing.B) {
	for _, n := range []int{10, 1000, 10000} {
		var lines []string
		for i := range n {
			lines = append(lines, fmt.Sprintf("r%d app.test /team%d/app%d", i, i%100, i))
		}
		plain, err := routed(b, lines...)
		if err != nil {
			b.Fatal(err)
		}
		told, err := routed(b, lines...)
		if err != nil {
			b.Fatal(err)
		}
		m, err := newMatch(Match{Headers: map[string][]string{"X-Api-Version": {"2"}}, Query: map[string][]string{"preview": {"true"}}})
		if err != nil {
			b.Fatal(err)
		}
		second := &route{name: "second", hosts: []origin.Origin{appTest}, segments: []string{"team7", "app7"}, methods: registeredMethods, match: m}
		if err := told.hosts[appTest].add(second); err != nil {
			b.Fatal(err)
		}
		r := &http.Request{Header: http.Header{"X-Api-Version": {"2"}, "Accept": {"*/*"}}}
		w, req := httptest.NewRecorder(), &CanonicalRequest{Method: "GET", Origin: appTest, decoded: "/team7/app7/x/y", Query: "page=3&preview=true", in: r, record: &telemetry.Record{}}
		for name, table := range map[string]*table{"plain": plain, "match": told} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, _ = table.Find(w, req)
				}
			})
		}
	}
}
