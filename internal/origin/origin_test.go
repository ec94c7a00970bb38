package origin_test

import (
	"testing"

	"github.com/doorward/doorward/internal/origin"
)

func TestParseReadsNamesAndOriginsWrittenInFull(t *testing.T) {
	for in, want := range map[string]string{
		"app.example.com": "https://app.example.com", "App.Example.COM.": "https://app.example.com", "https://app.example.com:443": "https://app.example.com",
		"http://localhost:4180": "http://localhost:4180", "http://127.0.0.1:80": "http://127.0.0.1", "app.example.com:8443": "https://app.example.com:8443", "http://[::1]:8080/": "http://[::1]:8080",
	} {
		if o, err := origin.Parse(in); err != nil || o.String() != want {
			t.Errorf("%s: got %v %v, want %s", in, o, err, want)
		}
	}
	for _, in := range []string{"", "ftp://x", "a b", "x/path", "https://u@x", "x?q", "exämple.com", "-x", "x..y", "http://x:99999", "http://x:08", "[::1%25lo]", "*.example.com", "https://"} {
		if o, err := origin.Parse(in); err == nil {
			t.Errorf("%q was taken as %v", in, o)
		}
	}
}

func TestLookupKnowsConfiguredHostsOnly(t *testing.T) {
	app, _ := origin.Parse("app.test")
	dev, _ := origin.Parse("http://localhost:4180")
	set, err := origin.NewSet(app, dev, app)
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]origin.Origin{"app.test": app, "APP.test.": app, "app.test:443": app, "localhost:4180": dev, "LOCALHOST:4180": dev} {
		if got, ok := set.Lookup(host); !ok || got != want {
			t.Errorf("%s: %v %v", host, got, ok)
		}
	}
	for _, host := range []string{"", "evil.test", "app.test:1234", "app.test:80", "app.test:0443", "localhost", "app.test..", "app.test@evil", "app.test:", "[::1]", "app.test:443:1", "[", "[x]:1"} {
		if got, ok := set.Lookup(host); ok {
			t.Errorf("%q was taken as %v", host, got)
		}
	}
	if len(set.All()) != 2 {
		t.Errorf("%v", set.All())
	}
	if n := testing.AllocsPerRun(100, func() { set.Lookup("app.test") }); n != 0 {
		t.Errorf("the usual look-up allocates %v times", n)
	}
}

func TestOriginsThatAHostHeaderCannotTellApartAreRefused(t *testing.T) {
	a, _ := origin.Parse("http://app.test")
	b, _ := origin.Parse("https://app.test")
	if _, err := origin.NewSet(a, b); err == nil {
		t.Error("http and https of one name were both taken")
	}
}

func TestLoopback(t *testing.T) {
	for in, want := range map[string]bool{"http://localhost:1": true, "http://a.localhost": true, "http://127.0.0.2": true, "http://[::1]": true, "app.test": false, "http://10.0.0.1": false} {
		if o, err := origin.Parse(in); err != nil || o.Loopback() != want {
			t.Errorf("%s: %v %v", in, o, err)
		}
	}
}

func FuzzLookupNeverInventsAnOrigin(f *testing.F) {
	app, _ := origin.Parse("app.test")
	set, _ := origin.NewSet(app)
	for _, s := range []string{"app.test", "app.test:443", "[::1]:1", "\x00", "app.test:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		if o, ok := set.Lookup(host); ok && o != app {
			t.Fatalf("%q became %v", host, o)
		}
	})
}
