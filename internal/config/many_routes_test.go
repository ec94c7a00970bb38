package config

import (
	"fmt"
	"strings"
	"testing"
)

// manyRoutes is a configuration with n routes of a realistic kind, each with a host of its own.
func manyRoutes(n int) string {
	var b strings.Builder
	b.WriteString(minimal)
	for i := range n {
		fmt.Fprintf(&b, "\n[[route]]\nname     = \"tenant-%05d\"\nhost     = \"tenant-%05d.apps.example.com\"\nupstream = [\"http://tenant-%05d.internal.test:8080\"]\nallow    = [{ groups = [\"tenant-%05d-staff\"] }]\n", i, i, i, i)
	}
	return b.String()
}

func TestTenThousandRoutesAreNotTooMany(t *testing.T) {
	c := given{toml: manyRoutes(10_000)}.mustLoad(t)
	rt := c.Proxy().Routes
	last := rt[len(rt)-1]
	if len(rt) != 10_001 || last.Name != "tenant-09999" || last.Hosts[0].Host != "tenant-09999.apps.example.com" || last.Allow[0].Groups[0] != "tenant-09999-staff" || len(c.Origins()) != 10_001 {
		t.Errorf("%d routes, the last is %+v", len(rt), last)
	}
}

func TestOverlapsAreFoundAmongManyRoutes(t *testing.T) {
	const twice = "[[route]]\nname = \"late\"\nhosts = [\"x.example.com\", \"tenant-00007.apps.example.com\"]\nupstream = [\"http://127.0.0.1:1\"]\n"
	problems := given{toml: manyRoutes(20) + twice}.refused(t)
	if len(problems) != 1 || !strings.Contains(problems[0].Text, `belongs to route "tenant-00007" already`) {
		t.Errorf("%v", problems)
	}
}

// BenchmarkLoadOfManyRoutes shows what grows faster than the file.
func BenchmarkLoadOfManyRoutes(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			g := given{toml: manyRoutes(n), dir: b.TempDir()}
			for b.Loop() {
				g.mustLoad(b)
			}
		})
	}
}
