package config

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/proxy"
)

func TestHowUpstreamsAreSpokenToIsRead(t *testing.T) {
	key, certificate := newPEM(t)
	two := strings.Replace(minimal, `upstream = ["http://127.0.0.1:3000"]`, `upstream = ["https://a.example", "https://b.example"]`, 1)
	dir := t.TempDir()
	for name, text := range map[string]string{"ca.pem": certificate, "client.pem": certificate, "client.key": key} {
		write(t, filepath.Join(dir, name), text, 0o600)
	}
	c := given{dir: dir, toml: two + `
balance = { policy = "least_connections", weights = [3, 1], sticky = true }
health = { path = "/healthz?x=1", rise = 1, fall = 2 }
eject = { failures = 0 }
retries = 0
protocol = "h2"
upstream_tls = { ca_file = "ca.pem", cert = "${file:client.pem}", key = "${file:client.key}", server_name = "app.internal" }
timeouts = { connect = "1s", idle = "10m", total = "0s" }
`}.mustLoad(t)
	pem := func(s string) []byte { return []byte(strings.TrimSuffix(s, "\n")) } // as every file is read
	want := proxy.Balance{
		Policy: "least_connections", Weights: []int{3, 1}, Sticky: true,
		Health: &proxy.Health{Path: "/healthz?x=1", Interval: 10 * time.Second, Timeout: 2 * time.Second, Rise: 1, Fall: 2},
		Eject:  &proxy.Eject{Failures: -1, For: 30 * time.Second}, Retries: -1, Protocol: "h2",
		RootCAs: pem(certificate), Cert: pem(certificate), Key: pem(key), ServerName: "app.internal",
		Timeouts: proxy.Timeouts{Connect: time.Second, Header: 2 * time.Minute, Idle: 10 * time.Minute},
	}
	if got := c.Proxy().Routes[0].Balance; !reflect.DeepEqual(got, want) {
		t.Errorf("read %+v\nwant %+v", got, want)
	}
	c = given{toml: minimal}.mustLoad(t)
	want = proxy.Balance{Timeouts: proxy.Timeouts{Connect: 5 * time.Second, Header: 2 * time.Minute}}
	if got := c.Proxy().Routes[0].Balance; !reflect.DeepEqual(got, want) {
		t.Errorf("without a word: %+v", got)
	}
}

func TestWhatIsWrongAboutUpstreamsIsRefusedWithItsPlace(t *testing.T) {
	two := strings.Replace(minimal, `upstream = ["http://127.0.0.1:3000"]`, `upstream = ["http://127.0.0.1:3000", "http://127.0.0.1:3001"]`, 1)
	secure := strings.Replace(minimal, "http://127.0.0.1:3000", "https://a.example", 1)
	for name, b := range map[string]broken{
		"policy":                   {two + "balance = { policy = \"least-connections\" }\n", `"least-connections"`, `did you mean "least_connections"?`},
		"weights":                  {two + "balance = { weights = [3] }\n", "weights", "there are 1 for 2 upstreams"},
		"a weight of nothing":      {two + "balance = { weights = [3, 0] }\n", "0] }", "from 1 to 1000"},
		"an upstream that is none": {strings.Replace(two, "http://127.0.0.1:3001", "ftp://a", 1) + "balance = { weights = [3, 1] }\n", `"ftp://a"`, "neither"},
		"weights in quotes":        {two + "balance = { weights = [\"3\", 1] }\n", `"3"`, "a whole number is wanted here"},
		"weights, no list":         {two + "balance = { weights = 3 }\n", "3 }", "a list of whole numbers"},
		"one upstream":             {minimal + "balance = { sticky = true }\n", "true }", "it has no effect with one upstream"},
		"no path":                  {minimal + "health = { interval = \"5s\" }\n", "interval", "it is missing"},
		"a path with dots":         {minimal + "health = { path = \"/a/../b\" }\n", `"/a/../b"`, "not a path that all servers read alike"},
		"interval":                 {minimal + "health = { path = \"/h\", interval = 5 }\n", "5 }", "a duration in quotes"},
		"overlapping checks":       {minimal + "health = { path = \"/h\", interval = \"1s\", timeout = \"5s\" }\n", `"5s"`, "longer than interval"},
		"rise":                     {minimal + "health = { path = \"/h\", rise = 0 }\n", "0 }", "from 1 to 100"},
		"eject.for":                {minimal + "eject = { for = \"1ms\" }\n", `"1ms"`, "too short"},
		"retries":                  {two + "retries = 9\n", "9\n", "from 0 to 5"},
		"protocol":                 {minimal + "protocol = \"http2\"\n", `"http2"`, `none of "h1", "h2", "h2c"`},
		"h2 without TLS":           {minimal + "protocol = \"h2\"\n", `"h2"`, `without TLS it is "h2c"`},
		"h2c with TLS":             {secure + "protocol = \"h2c\"\n", `"h2c"`, `with TLS it is "h2"`},
		"TLS to nobody":            {minimal + "upstream_tls = { server_name = \"x\" }\n", "server_name", "no upstream is https"},
		"a file's name":            {secure + "upstream_tls = { cert = \"client.pem\" }\n", `"client.pem"`, `write "${file:client.pem}"`},
		"no such CA":               {secure + "upstream_tls = { ca_file = \"none.pem\" }\n", `"none.pem"`, "no such file"},
		"P200 skip verify":         {secure + "upstream_tls = { insecure_skip_verify = true }\n", "insecure_skip_verify", "certificates are always verified: name the authority in ca_file"},
		"P200 of a route":          {secure + "insecure_skip_verify = true\n", "insecure_skip_verify", "certificates are always verified"},
		"header = 0":               {minimal + "timeouts = { header = \"0s\" }\n", `"0s"`, "too short"},
		"connect = 0":              {minimal + "timeouts = { connect = \"0s\" }\n", `"0s"`, "too short"},
		"total":                    {minimal + "timeouts = { total = \"5ms\" }\n", `"5ms"`, "0s for no limit"},
		"a number of time":         {minimal + "timeouts = { idle = 5 }\n", "5 }", "a duration in quotes"},
	} {
		t.Run(name, b.check)
	}
}

func TestWeightsComeFromTheEnvironment(t *testing.T) {
	two := strings.Replace(minimal, `upstream = ["http://127.0.0.1:3000"]`, `upstream = ["http://127.0.0.1:3000", "http://127.0.0.1:3001"]`, 1)
	for _, value := range []string{"3,1", "[3, 1]", " 3 , 1 "} {
		c := given{toml: two, env: []string{"DOORWARD_ROUTE_APP_BALANCE_WEIGHTS=" + value}}.mustLoad(t)
		if got := c.Proxy().Routes[0].Balance.Weights; len(got) != 2 || got[0] != 3 || got[1] != 1 {
			t.Errorf("%q: %v", value, got)
		}
	}
}
