package personal

import (
	"net/http"

	"github.com/doorward/doorward/internal/origin"
)

// ownRequest reports whether a request that changes something was made by a page of here, or by the person (P184, S17). It is the
// rule of package flows, word for word, which keeps it to itself: browsers say so by Sec-Fetch-Site, older ones by Origin. A
// header that no other site's page can send without asking first stands for programs. A request that says nothing is not trusted.
func ownRequest(r *http.Request, here origin.Origin) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
	default:
		return false
	}
	if o := r.Header.Values("Origin"); len(o) > 0 {
		return len(o) == 1 && o[0] == here.String()
	}
	return r.Header.Get("X-Requested-With") != ""
}
