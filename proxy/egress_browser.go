package proxy

import (
	"net/http"

	"github.com/doorward/doorward/internal/pages"
)

// refuseBrowser keeps web pages away: a page in a browser on this machine may send requests to any port of it, and would
// call upstreams with our tokens (drive-by, DNS rebinding; P150). Browsers say of each request where it comes from, and no
// script can take that away: Origin, and the Fetch Metadata headers. Sec-Fetch-Mode alone is what fetch of Node.js sends;
// no browser sends it without Sec-Fetch-Site.
func refuseBrowser(h http.Header) error {
	for _, name := range [...]string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Dest", "Sec-Fetch-User", "Sec-Purpose"} {
		if h[name] != nil {
			return &pages.Error{Code: codeCrossSite, Detail: "Only programs may call this address, and the header " + name + " is a browser's. An application that passes its own callers' headers on must leave it out."}
		}
	}
	return nil
}
