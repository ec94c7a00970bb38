package proxy

import (
	"slices"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

// checkSite refuses a change that a page of another site asks for in the name of whoever is
// signed in (BFF-4): a browser sends the session cookie with it if an operator let it
// (same_site = "none"), or is too old to know better. Browsers say by Sec-Fetch-Site where a request
// comes from, older ones by Origin; who says neither is no browser, and has no cookies that
// another site could use. A neighbouring host (same-site) passes: whom to trust there is the
// operator's decision, as it is with SameSite=Lax; so does a page that cors lists with credentials. A password that a browser was told once it sends along
// like a cookie, and with less care; a ticket, a token or a key in a header no browser adds by itself.
func (rt *route) checkSite(req *CanonicalRequest, c claim) error {
	if safeMethods[req.Method] || !c.ambient() {
		return nil
	}
	if site := req.in.Header["Sec-Fetch-Site"]; len(site) > 0 {
		if len(site) == 1 && (site[0] == "same-origin" || site[0] == "same-site" || site[0] == "none") {
			return nil
		}
		if rt.cors.trusts(req.in.Header) {
			return nil
		}
		return crossSite(req)
	}
	from := req.in.Header["Origin"]
	if len(from) == 0 || len(from) == 1 && (from[0] == req.site.origin || rt.listsOrigin(req, from[0]) || rt.servesOrigin(from[0])) || rt.cors.trusts(req.in.Header) {
		return nil
	}
	return crossSite(req)
}

// servesOrigin reports whether from is one of the hosts configured here.
func (rt *route) servesOrigin(from string) bool {
	return slices.ContainsFunc(rt.origins.All(), func(o origin.Origin) bool { return o.String() == from })
}

func crossSite(req *CanonicalRequest) error {
	return &pages.Error{Code: codeCrossSite, Detail: "Only pages of " + req.site.origin + " may change something here in your name."}
}
