package proxy

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	leastCompressed = 1 << 10               // bytes; what is shorter becomes hardly shorter
	flushAfter      = 10 * time.Millisecond // so long at most a compressed answer holds back what an upstream has sent
)

// compressor compresses answers where that betrays nothing.
//
// The length of a compressed text says how much of it repeats. Where one answer holds a secret, and beside it something that
// a stranger has chosen, whoever sees its length (encrypted or not) and can make the browser ask for it again and again
// finds the secret letter by letter (BREACH). A gateway cannot tell what in an answer is secret. So it asks the other way round:
//
//   - An answer to somebody who has shown who they are, to Doorward or to the application (a cookie or Authorization goes
//     upstream), is compressed only if it looks the same for everybody: style sheets, scripts, fonts, SVG and
//     WebAssembly without a query, or with one if the upstream calls it "Cache-Control: public"; JSON only if it is called that.
//     Pages (HTML and the like) never are.
//   - And only if no other site has asked for it: Sec-Fetch-Site is same-origin or none. Who proves themselves by what browsers do not
//     send along by themselves (a token or key in a header) need not say so.
//   - An answer to nobody in particular, on a public route, and the route's own (Route.Answer) hold nothing that the
//     stranger could not ask for himself: there every type of text is compressed.
//   - None that sets a cookie, is partial, says no-transform or a digest of what it holds, announces trailers, or is compressed
//     already, is touched. Nothing is ever unpacked (P061).
//
// Applications that know better compress themselves, and their answers pass as they are.
type compressor struct {
	order    []coding
	encoders *encoders
}

func newCompressor(names []string, e *encoders) (*compressor, error) {
	c := &compressor{encoders: e}
	for i, name := range names {
		found := noCoding
		for _, known := range []coding{zstdCoding, gzipCoding} {
			if name == known.String() {
				found = known
			}
		}
		if found == noCoding {
			return nil, fmt.Errorf("compress[%d]: %q is neither \"zstd\" nor \"gzip\"", i, name)
		}
		for _, before := range c.order {
			if before == found {
				return nil, fmt.Errorf("compress[%d]: %q stands there twice", i, name)
			}
		}
		c.order = append(c.order, found)
	}
	return c, nil
}

// judged is what is asked of an answer.
type judged struct {
	req      *CanonicalRequest
	status   int
	header   http.Header
	cookies  bool // others than those in header go out with it
	trailers bool // more is said of it behind it, such as a digest
	personal bool // it may hold what only this caller may read
	ambient  bool // a browser has shown who that is by itself
	shared   bool // the upstream calls it public
}

// choose decides about an answer, and says by Vary that it did. It returns noCoding where the answer stays as it is.
func (c *compressor) choose(a judged) coding {
	h := a.header
	if a.req.Method != http.MethodGet && a.req.Method != http.MethodHead {
		return noCoding
	}
	if a.status == http.StatusNotModified {
		rememberWeak(a.req.in.Header, h)
		varyByEncoding(h) // as the 200 would (RFC 9110 §15.4.5); of what type that is it does not say
		return noCoding
	}
	kind := kindOf(h["Content-Type"])
	if a.status != http.StatusOK || kind == incompressible || h["Content-Encoding"] != nil {
		return noCoding
	}
	varyByEncoding(h) // also where it stays as it is: a cache must not give one client's to the next
	if a.cookies || a.trailers || !a.safe(kind) || unalterable(h) {
		return noCoding
	}
	return accepted(a.req.in.Header["Accept-Encoding"], c.order)
}

// announce changes the header of an answer that is compressed.
func (c coding) announce(h http.Header) {
	h["Content-Encoding"] = c.values()
	delete(h, "Content-Length")
	delete(h, "Accept-Ranges") // a range of it would be one of the uncompressed text
	weaken(h)
}

// safe reports whether compressing betrays nothing; see compressor.
func (a judged) safe(kind textKind) bool {
	if !a.personal {
		return true
	}
	if a.ambient {
		if site := a.req.in.Header["Sec-Fetch-Site"]; len(site) != 1 || site[0] != "same-origin" && site[0] != "none" {
			return false
		}
	}
	switch kind {
	case asset:
		return a.shared || !a.req.hasQuery
	case data:
		return a.shared
	}
	return false
}

// unalterable reports an answer that must stay as it is, or gains nothing.
func unalterable(h http.Header) bool {
	for _, name := range []string{"Set-Cookie", "Content-Range", "Content-Digest", "Repr-Digest", "Digest", "Content-Md5", "Signature"} {
		if h[name] != nil {
			return true
		}
	}
	if length := h["Content-Length"]; len(length) > 0 {
		if n, err := strconv.ParseInt(length[0], 10, 64); err != nil || n < leastCompressed {
			return true
		}
	}
	return saysDirective(h["Cache-Control"], "no-transform")
}

// textKind is what kind of text a media type is.
type textKind int

const (
	incompressible textKind = iota
	page                    // for people, made of whatever
	data                    // for programs
	asset                   // parts of an application, the same for everybody as a rule
)

var textKinds = map[string]textKind{
	"application/json": data, "application/xml": page, "application/rss+xml": page, "application/atom+xml": page, "application/xhtml+xml": page,
	"text/event-stream": incompressible, // an event must arrive at once, and each may be a secret beside what a stranger has said
	"text/css":          asset, "text/javascript": asset, "application/javascript": asset, "application/x-javascript": asset, "application/wasm": asset, "image/svg+xml": asset,
	"font/ttf": asset, "font/otf": asset, "font/collection": asset, "application/vnd.ms-fontobject": asset, "image/x-icon": asset, "image/vnd.microsoft.icon": asset, "image/bmp": asset,
}

func kindOf(contentType []string) textKind {
	if len(contentType) != 1 {
		return incompressible
	}
	media, _, _ := strings.Cut(contentType[0], ";")
	media = strings.ToLower(strings.Trim(media, " \t"))
	if kind, known := textKinds[media]; known {
		return kind
	}
	switch {
	case strings.HasPrefix(media, "text/"):
		return page
	case strings.HasSuffix(media, "+json") && strings.HasPrefix(media, "application/"):
		return data
	}
	return incompressible
}

// varyByEncoding adds Accept-Encoding to Vary (RFC 9110 §12.5.5).
func varyByEncoding(h http.Header) {
	lines := h["Vary"]
	for _, line := range lines {
		for element := range strings.SplitSeq(line, ",") {
			if element = strings.Trim(element, " \t"); element == "*" || strings.EqualFold(element, "Accept-Encoding") {
				return
			}
		}
	}
	h["Vary"] = append(lines[:len(lines):len(lines)], "Accept-Encoding")
}

// weaken says of an entity tag that what it names is the same by its meaning only: the bytes are others now (RFC 9110 §8.8.1).
func weaken(h http.Header) {
	switch tag := h.Get("Etag"); {
	case tag == "" || strings.HasPrefix(tag, "W/"):
	case tag[0] == '"':
		h["Etag"] = []string{"W/" + tag}
	default:
		delete(h, "Etag")
	}
}

// rememberWeak weakens the tag of a 304 for a client that knows it so: by a strong one it would not find what it has
// kept (RFC 9111 §4.3.4).
func rememberWeak(asked, h http.Header) {
	tag := h.Get("Etag")
	if tag == "" || tag[0] != '"' {
		return
	}
	for _, line := range asked["If-None-Match"] {
		for line != "" {
			var known string
			known, line = cutDirective(line)
			if strings.HasPrefix(known, "W/") && known[2:] == tag {
				h["Etag"] = []string{known}
				return
			}
		}
	}
}

// saysDirective reports whether a Cache-Control has a directive, with an argument or without.
func saysDirective(lines []string, wanted string) bool {
	for _, line := range lines {
		for line != "" {
			var directive string
			directive, line = cutDirective(line)
			name, _, _ := strings.Cut(directive, "=")
			if strings.EqualFold(strings.TrimRight(name, " \t"), wanted) {
				return true
			}
		}
	}
	return false
}
