package proxy

import (
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/pages"
)

// refuseBrowser keeps web pages away: a page in a browser on this machine may send requests to any port of it, and would
// call upstreams with our tokens (drive-by, DNS rebinding; P150). Browsers say of each request where it comes from, and no
// script can take that away: Origin, and the Fetch Metadata headers. Sec-Fetch-Mode alone is what fetch of Node.js sends;
// no browser sends it without Sec-Fetch-Site.
//
// To a plain http address by name, other than localhost, they say neither of an image, a script or a frame (Fetch Metadata
// §2: it is not trustworthy), and the name of a target may lead here by the hosts file of this machine. There it is User-Agent
// that tells: all of them begin it so, and a page of another site cannot change it.
func refuseBrowser(h http.Header) error {
	for _, name := range [...]string{"Origin", "Sec-Fetch-Site", "Sec-Fetch-Dest", "Sec-Fetch-User", "Sec-Purpose", "Sec-Ch-Ua", "Upgrade-Insecure-Requests"} {
		if h[name] != nil {
			return noBrowser("the header " + name + " is a browser's. An application that passes its own callers' headers on must leave it out.")
		}
	}
	const browser = "mozilla/"
	for _, agent := range h["User-Agent"] {
		if len(agent) >= len(browser) && strings.EqualFold(agent[:len(browser)], browser) {
			return noBrowser("User-Agent is a browser's. An application that passes its own callers' headers on must send a name of its own.")
		}
	}
	return nil
}

func noBrowser(why string) error {
	return &pages.Error{Code: codeCrossSite, Detail: "Only programs may call this address, and " + why}
}
