package config

import (
	"reflect"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy"
)

func TestWhatARouteHasForBrowsersIsRead(t *testing.T) {
	rt := given{toml: minimal}.mustLoad(t).Proxy().Routes[0]
	if rt.KeepPost != 64<<10 || rt.Unauthenticated != "auto" || rt.CORS != nil {
		t.Errorf("by default: %d %q %v", rt.KeepPost, rt.Unauthenticated, rt.CORS)
	}
	rt = given{toml: minimal + "keep_post = \"0\"\nunauthenticated = \"401\"\ncors = { origins = [\"https://www.example.com\", \"http://localhost:3000\"], credentials = true }\n"}.mustLoad(t).Proxy().Routes[0]
	want := &proxy.CORS{Origins: []origin.Origin{{Scheme: "https", Host: "www.example.com"}, {Scheme: "http", Host: "localhost", Port: "3000"}}, Credentials: true, MaxAge: 10 * time.Minute}
	if rt.KeepPost != 0 || rt.Unauthenticated != "401" || !reflect.DeepEqual(rt.CORS, want) {
		t.Errorf("%d %q %+v", rt.KeepPost, rt.Unauthenticated, rt.CORS)
	}
	rt = given{toml: minimal + `keep_post = "1MiB"
[route.cors]
origins = ["*"]
methods = ["GET"]
headers = ["X-A"]
expose_headers = ["X-B"]
max_age = "1h"
`}.mustLoad(t).Proxy().Routes[0]
	want = &proxy.CORS{AnyOrigin: true, Methods: []string{"GET"}, Headers: []string{"X-A"}, ExposeHeaders: []string{"X-B"}, MaxAge: time.Hour}
	if rt.KeepPost != 1<<20 || !reflect.DeepEqual(rt.CORS, want) {
		t.Errorf("%d %+v", rt.KeepPost, rt.CORS)
	}
}

func TestR24WhatIsWrongAboutBrowsersIsRefusedWithItsPlace(t *testing.T) {
	cors := func(inside string) string { return minimal + "cors = { " + inside + " }\n" }
	for name, b := range map[string]broken{
		"a number for keep_post":         {minimal + "keep_post = 0\n", "0\n", "a text in quotes is wanted here"},
		"keep_post without a unit":       {minimal + "keep_post = \"64\"\n", `"64"`, "has no unit"},
		"too much keep_post":             {minimal + "keep_post = \"2MiB\"\n", `"2MiB"`, "1048576 bytes"},
		"an odd unauthenticated":         {minimal + "unauthenticated = \"403\"\n", `"403"`, `"401"`},
		"cors without origins":           {cors(`credentials = true`), "credentials", "cors.origins: at least one is needed"},
		"cors with no origin":            {cors(`origins = []`), "origins = [", "at least one is needed"},
		"cors for everybody and cookies": {cors(`origins = ["*"], credentials = true`), "true }", "every site"},
		"cors for everybody and more":    {cors(`origins = ["*", "https://a.example"]`), "origins = [", "drop the others"},
		"P183 a pattern":                 {cors(`origins = ["https://*.example.com"]`), `"https://*`, "no patterns"},
		"P183 null":                      {cors(`origins = ["null"]`), `"null"`, "sandboxed"},
		"P183 a name":                    {cors(`origins = ["www.example.com"]`), `"www`, `"https://www.example.com"`},
		"an origin twice":                {cors(`origins = ["https://a.example", "https://a.example"]`), `"https://a.example"] }`, "twice"},
		"an origin with a path":          {cors(`origins = ["https://a.example/x"]`), `"https://a.example/x"`, ""},
		"no methods":                     {cors(`origins = ["https://a.example"], methods = []`), "methods = [", "leave it out"},
		"every header":                   {cors(`origins = ["https://a.example"], headers = ["*"]`), `"*"`, "no name"},
		"an endless max_age":             {cors(`origins = ["https://a.example"], max_age = "48h"`), `"48h"`, "too long"},
		"an unknown key":                 {cors(`origins = ["https://a.example"], maxage = "1h"`), "maxage", `did you mean "max_age"?`},
	} {
		t.Run(name, func(t *testing.T) { b.check(t) })
	}
}

func TestKeysForBrowsersThatHaveNoEffectAreWarnedOf(t *testing.T) {
	for _, key := range []string{"keep_post = \"1KiB\"", "unauthenticated = \"401\""} {
		if c := (given{toml: minimal + "public = true\n" + key + "\n"}).mustLoad(t); !hasWarning(c, "route.app", "no effect on a public route") {
			t.Errorf("%s: %q", key, c.Warnings())
		}
	}
	const cors, match = "cors = { origins = [\"https://a.example\"] }\n", "match = { headers = { X-Version = [\"2\"] } }\n"
	if c := (given{toml: minimal + cors + match}).mustLoad(t); !hasWarning(c, "route.app", "X-Version", "no preflight") {
		t.Errorf("%q", c.Warnings())
	}
	for _, fine := range []string{cors, match, cors + "match = { headers = { Origin = [\"https://a.example\"] }, query = { v = [\"2\"] } }\n"} {
		if c := (given{toml: minimal + fine}).mustLoad(t); hasWarning(c, "no preflight") {
			t.Errorf("%s: %q", fine, c.Warnings())
		}
	}
	c := given{toml: minimal + "unauthenticated = \"401\"\nkeep_fragment = true\n"}.mustLoad(t)
	if !hasWarning(c, "route.app", "keep_fragment", "no effect") {
		t.Errorf("%q", c.Warnings())
	}
}
