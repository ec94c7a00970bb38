package config

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/doorward/doorward/proxy"
)

func TestWhatARouteTakesIsRead(t *testing.T) {
	dir := t.TempDir()
	c := given{dir: dir, toml: minimal + `
limits = { max_body = "1.5MiB", concurrent = 100, per_user = "100/1m", per_address = " 20 / 1s " }
maintenance = { on = false, file = "closed", message = "Back at noon.", except = ["10.0.0.0/8", "2001:db8::/32"] }
`}.mustLoad(t)
	rt := c.Proxy().Routes[0]
	if want := (proxy.Limits{MaxBody: 3 << 19, Concurrent: 100, PerUser: proxy.Rate{Requests: 100, Per: time.Minute}, PerAddress: proxy.Rate{Requests: 20, Per: time.Second}}); rt.Limits != want {
		t.Errorf("%+v", rt.Limits)
	}
	m := rt.Maintenance
	if m == nil || m.On || m.File != filepath.Join(dir, "closed") || m.Message != "Back at noon." || m.RetryAfter != 5*time.Minute || len(m.Except) != 2 || m.Except[0] != netip.MustParsePrefix("10.0.0.0/8") {
		t.Errorf("%+v", m)
	}
	plain := given{toml: minimal}.mustLoad(t).Proxy().Routes[0]
	if plain.Limits != (proxy.Limits{}) || plain.Maintenance != nil {
		t.Errorf("without a word there is %+v, %+v", plain.Limits, plain.Maintenance)
	}
	closed := given{toml: minimal + "maintenance = { on = true, retry_after = \"1h\" }\n"}.mustLoad(t).Proxy().Routes[0].Maintenance
	if !closed.On || closed.RetryAfter != time.Hour {
		t.Errorf("%+v", closed)
	}
}

func TestWrongLimitsAreToldWhereTheyAre(t *testing.T) {
	for name, b := range map[string]broken{
		"no limits":                 {minimal + "limits = {}\n", "limits", "name one of max_body"},
		"misspelt limit":            {minimal + "limits = { max_bodies = \"1MiB\" }\n", "max_bodies", `did you mean "max_body"?`},
		"a size without a unit":     {minimal + "limits = { max_body = \"100\" }\n", `"100"`, "no unit"},
		"no body at all":            {minimal + "limits = { max_body = \"0B\" }\n", `"0B"`, "not possible"},
		"nobody at a time":          {minimal + "limits = { concurrent = 0 }\n", "0 }", "from 1"},
		"a rate without a time":     {minimal + "limits = { per_user = \"100\" }\n", `"100"`, `"100/1m"`},
		"a rate in words":           {minimal + "limits = { per_user = \"100/minute\" }\n", `"100/minute"`, `"100/1m"`},
		"a rate of nothing":         {minimal + "limits = { per_address = \"0/1s\" }\n", `"0/1s"`, "from 1 to"},
		"a rate in too little time": {minimal + "limits = { per_address = \"5/10ms\" }\n", `"5/10ms"`, "from 1s"},
		"a rate in too much time":   {minimal + "limits = { per_address = \"5/48h\" }\n", `"5/48h"`, "to 24h"},
		"persons that nobody asks":  {minimal + "public = true\nlimits = { per_user = \"1/1s\" }\n", `"1/1s"`, "asks nobody who they are"},

		"maintenance never":             {minimal + "maintenance = { message = \"x\" }\n", "message", "neither on nor file"},
		"maintenance, no file":          {minimal + "maintenance = { file = \"\" }\n", `""`, "empty"},
		"maintenance, two lines":        {minimal + "maintenance = { on = false, file = \"x\", message = \"a\\nb\" }\n", `"a\nb"`, "one line"},
		"maintenance, how long":         {minimal + "maintenance = { file = \"x\", retry_after = 5 }\n", "5 }", `"8h"`},
		"maintenance, for ever":         {minimal + "maintenance = { file = \"x\", retry_after = \"720h\" }\n", `"720h"`, "too long"},
		"maintenance, except one":       {minimal + "maintenance = { file = \"x\", except = [\"10.0.0.1\"] }\n", `"10.0.0.1"`, `"10.0.0.1/32"`},
		"maintenance, a misspelt key":   {minimal + "maintenance = { file = \"x\", expect = [] }\n", "expect", `did you mean "except"?`},
		"maintenance that is not a key": {minimal + "maintenance = true\n", "true", "a table is wanted here"},
	} {
		t.Run(name, b.check)
	}
}
