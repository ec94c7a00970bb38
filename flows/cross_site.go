package flows

import (
	"net/http"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

// ownRequest reports whether a request that changes something was made by a page of here, or by the
// person (P184, S17). Browsers say so by Sec-Fetch-Site, older ones by Origin. A header that
// no other site's page can send without asking first stands for programs. A request
// that says nothing is not trusted: SameSite alone would leave neighbouring hosts free.
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

// consent is what a request to sign out may do at once.
type consent int

const (
	refuse consent = iota // the zero value refuses
	ask                   // show a page on which the person confirms
	agreed
)

// mayEnd judges a request to sign out (CONTRACT §4, P130): a POST or a GET of our own or of a
// neighbouring host, or of the person, is agreed; a navigation from elsewhere is asked about; an image or
// a frame, also one that somebody has put into a page of ours, or a prefetch of our own link, ends nothing.
func mayEnd(r *http.Request, here origin.Origin) consent {
	if embedded(r) {
		return refuse
	}
	if ownRequest(r, here) || r.Header.Get("Sec-Fetch-Site") == "same-site" {
		return agreed
	}
	if r.Method == http.MethodGet && pages.KindOf(r) == pages.Navigation {
		return ask
	}
	return refuse
}

// embedded reports a GET that a page makes without anybody's doing: an image, a frame, a style, a prefetch.
func embedded(r *http.Request) bool {
	if r.Method != http.MethodGet {
		return false
	}
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "", "document", "empty":
		return false
	}
	return true
}

func notForOthers(here origin.Origin) error {
	return &pages.Error{Code: codeCrossSite, Detail: "Signing out must be asked for by a page of " + here.Authority() + " itself, or by a person."}
}
