package proxy

import (
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

// upgradesToWebSocket reports whether r asks for the one protocol that may be tunnelled
// (RFC 6455 §4.1). Any other would be a connection to the upstream past every later
// decision (P049).
func upgradesToWebSocket(r *http.Request) bool {
	up := r.Header["Upgrade"]
	return r.Method == http.MethodGet && r.ContentLength == 0 && r.ProtoMajor == 1 && r.ProtoMinor >= 1 && len(up) == 1 && strings.EqualFold(up[0], "websocket")
}

// checkOrigin refuses a WebSocket that a foreign page opens: browsers send cookies with it
// and let the page read what comes back, unless the server looks at Origin (P179). A
// caller without Origin is no browser; it may pass where it brings none of our cookies.
func (rt *route) checkOrigin(req *CanonicalRequest) error {
	if req.in.Header["Upgrade"] == nil {
		return nil
	}
	from := req.in.Header["Origin"]
	switch {
	case len(from) == 0 && !carriesOwn(req.in.Header, rt.withheldCookie):
		return nil
	case len(from) == 1 && (from[0] == req.site.origin || rt.listsOrigin(req, from[0])):
		return nil
	}
	return &pages.Error{Code: codeCrossSite, Detail: "A WebSocket may be opened by pages of " + req.site.origin + " only."}
}

func (rt *route) listsOrigin(req *CanonicalRequest, from string) bool {
	if !strings.Contains(from, "://") { // "null", and what Parse would read as a name
		return false
	}
	o, err := origin.Parse(from)
	return err == nil && (o == req.Origin || slices.Contains(rt.webSocketOrigins, o))
}
