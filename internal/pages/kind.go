package pages

import "net/http"

// Kind is what kind of caller a request comes from (R8, AUT-7).
type Kind int

const (
	Program    Kind = iota // fetch, XHR, curl, subresources, prefetch, WebSocket: 401 and problem+json
	Navigation             // a top-level GET (or HEAD) of a browser: pages and redirects
	FormPost               // a top-level form POST of a browser: pages
)

// KindOf tells a browser's top-level navigation from everything else: Sec-Fetch-Mode and
// Sec-Fetch-Dest where present, otherwise Accept, X-Requested-With and Upgrade.
func KindOf(r *http.Request) Kind { panic("unbuilt") }
