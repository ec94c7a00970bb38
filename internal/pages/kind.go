package pages

import (
	"net/http"
	"strings"
)

// Kind is what kind of caller a request comes from (R8, AUT-7).
type Kind int

const (
	Program    Kind = iota // fetch, XHR, curl, subresources, prefetch, WebSocket: 401 and problem+json
	Navigation             // a top-level GET (or HEAD) of a browser: pages and redirects
	FormPost               // a top-level form POST of a browser: pages
)

func (k Kind) String() string {
	switch k {
	case Navigation:
		return "navigation"
	case FormPost:
		return "form post"
	}
	return "program"
}

// KindOf tells a browser's top-level navigation from everything else: Sec-Fetch-Mode and
// Sec-Fetch-Dest where present, otherwise Accept, X-Requested-With and Upgrade. In doubt
// it is a program: whom a redirect is kept from can still read login_url, while whoever gets
// one by mistake fills a browser with attempts (P185, P186). It does not allocate.
//
// A frame is no navigation here. Neither our pages nor those of providers may be framed,
// and a browser may keep cookies from a frame: a login in it would end nowhere. A speculative load is
// none either: nobody may ever look at it, and browsers drop what answers with an error and ask again.
func KindOf(r *http.Request) Kind {
	var kind Kind
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		kind = Navigation
	case http.MethodPost:
		kind = FormPost
	default:
		return Program
	}
	if speculative(r.Header) {
		return Program
	}
	mode, dest := single(r.Header, "Sec-Fetch-Mode"), single(r.Header, "Sec-Fetch-Dest")
	if mode != "" || dest != "" {
		if !topLevel(mode, dest) {
			return Program
		}
		return kind
	}
	if r.Header["Upgrade"] != nil || r.Header["Service-Worker"] != nil || r.Header["Hx-Request"] != nil || script(r.Header) || !wantsHTML(r.Header["Accept"]) {
		return Program
	}
	if kind == FormPost && !fromForm(r.Header["Content-Type"]) {
		return Program
	}
	return kind
}

// single returns the value of a header that must not be there twice. Two are no value that
// any browser sends.
func single(h http.Header, name string) string {
	values := h[name]
	switch len(values) {
	case 0:
		return ""
	case 1:
		return values[0]
	}
	return "several"
}

// topLevel judges Fetch Metadata. A page's script can neither set nor change it. Chrome 76 to
// 79 sent the mode alone. A service worker that passes a navigation on keeps the
// mode and loses the destination; its answer still becomes the page, so an installed app whose session
// has ended finds its way to the login.
func topLevel(mode, dest string) bool {
	switch dest {
	case "document":
		return mode == "navigate" || mode == ""
	case "", "empty":
		return mode == "navigate"
	}
	return false
}

// speculative reports a prefetch, a prerender or a preview: Sec-Purpose is the standard,
// the others are what Chrome, Safari and Firefox sent before it.
func speculative(h http.Header) bool {
	return h["Sec-Purpose"] != nil || h["Purpose"] != nil || h["X-Purpose"] != nil || h["X-Moz"] != nil
}

// script reports X-Requested-With as libraries set it. An old Android WebView sends the name of
// its application in it with every request, navigations included: "com.example.app".
func script(h http.Header) bool {
	values := h["X-Requested-With"]
	return len(values) > 0 && !strings.Contains(values[0], ".")
}

// wantsHTML reports whether HTML is named in Accept, and before any JSON. "*/*" is what
// curl and fetch say; no browser navigates with it.
func wantsHTML(accept []string) bool {
	for _, line := range accept {
		for line != "" {
			var entry string
			entry, line, _ = strings.Cut(line, ",")
			media, parameters, _ := strings.Cut(entry, ";")
			media = strings.TrimSpace(media)
			switch {
			case strings.EqualFold(media, "text/html"), strings.EqualFold(media, "application/xhtml+xml"):
				if !refused(parameters) {
					return true
				}
			case strings.EqualFold(media, "application/json"), len(media) > 5 && strings.EqualFold(media[len(media)-5:], "+json"):
				return false
			}
		}
	}
	return false
}

// refused reports a weight of zero (RFC 9110 §12.4.2).
func refused(parameters string) bool {
	for parameters != "" {
		var p string
		p, parameters, _ = strings.Cut(parameters, ";")
		name, value, _ := strings.Cut(p, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			return strings.Trim(strings.TrimSpace(value), "0.") == ""
		}
	}
	return false
}

// fromForm reports whether a form could have sent this type of content: one of three.
func fromForm(contentType []string) bool {
	if len(contentType) == 0 {
		return true // an empty body
	}
	media, _, _ := strings.Cut(contentType[0], ";")
	media = strings.TrimSpace(media)
	return strings.EqualFold(media, "application/x-www-form-urlencoded") ||
		strings.EqualFold(media, "multipart/form-data") || strings.EqualFold(media, "text/plain")
}
