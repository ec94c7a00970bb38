package proxy

import (
	"github.com/doorward/doorward/internal/origin"
)

// site is what is known beforehand about one configured host: the header values that
// upstreams get, so that none is built per request. The slices are shared by all
// requests and never written to.
type site struct {
	authority string   // "app.example.com", with the port where it is not the scheme's own
	origin    string   // "https://app.example.com"
	challenge []string // of a 401
	basic     []string // the same where Basic is accepted

	forwardedProto, forwardedHost, forwardedPort []string
}

func newSites(origins *origin.Set) map[origin.Origin]*site {
	sites := make(map[origin.Origin]*site)
	for _, o := range origins.All() {
		port := o.Port
		if port == "" {
			port = "443"
			if !o.Secure() {
				port = "80"
			}
		}
		bearer := `Bearer realm="` + o.Authority() + `"`
		sites[o] = &site{
			authority:      o.Authority(),
			origin:         o.String(),
			challenge:      []string{bearer},
			basic:          []string{bearer, `Basic realm="` + o.Authority() + `", charset="UTF-8"`}, // RFC 7617 §2.1
			forwardedProto: []string{o.Scheme},
			forwardedHost:  []string{o.Authority()},
			forwardedPort:  []string{port},
		}
	}
	return sites
}
