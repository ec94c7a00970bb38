package proxy

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/pages"
)

// held is the request of a browser that waits for an approval, or for a login: what was judged, and of its headers those that
// its page has chosen. Cookies and everything about who is calling are not among them: they are
// taken as they are when it is sent.
type held struct {
	Method string              `json:"m"`
	Target string              `json:"-"` // canonical
	Bytes  []byte              `json:"t"` // of Target: neither that nor a value need be UTF-8, which a text of JSON must be
	Header map[string][][]byte `json:"h"`
	Body   []byte              `json:"b"`
}

// keptHeaders are kept of a held request, beside those that are bound. Applications look at Origin, Referer and
// Sec-Fetch-Site to know their own forms: those of our page would make the form of a neighbouring
// host one of theirs.
var keptHeaders = set([]string{
	"Accept", "Accept-Language", "Origin", "Referer", "Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "X-Requested-With",
})

func keeps(name string) bool { return bound(name) || keptHeaders[name] }

// hold writes a request down for an Approver to keep.
func hold(req *CanonicalRequest, body []byte) []byte {
	h := held{Method: req.Method, Bytes: []byte(req.Target()), Header: make(map[string][][]byte), Body: body}
	for name, values := range req.in.Header {
		if !keeps(name) {
			continue
		}
		for _, v := range values {
			h.Header[name] = append(h.Header[name], []byte(v))
		}
	}
	text, err := json.Marshal(h)
	if err != nil {
		panic("proxy: " + err.Error()) // texts and bytes only
	}
	return text
}

var errHeld = errors.New("the held request cannot be read")

func unhold(text []byte) (h held, err error) {
	if json.Unmarshal(text, &h) != nil || h.Method == "" || len(h.Bytes) == 0 || h.Bytes[0] != '/' {
		return held{}, errHeld
	}
	h.Target = string(h.Bytes)
	return h, nil
}

// request makes the held request anew, as one that comes with what the browser sends now.
func (h held) request(now *http.Request) (*http.Request, error) {
	u, err := url.ParseRequestURI(h.Target)
	if err != nil {
		return nil, errHeld
	}
	r := now.Clone(now.Context())
	r.Method, r.RequestURI, r.URL = h.Method, h.Target, u
	for name := range r.Header {
		if keeps(name) {
			delete(r.Header, name)
		}
	}
	delete(r.Header, "Content-Length")
	for name, values := range h.Header {
		for _, v := range values {
			r.Header[name] = append(r.Header[name], string(v))
		}
	}
	r.Form, r.PostForm, r.MultipartForm = nil, nil, nil
	putBody(r, h.Body)
	return r, nil
}

// resume sends a held request by the ordinary way: it is judged anew, by the rules and with the
// session of now, and finds its approval like the second request of a program. If none is named it is
// held anew, like the first.
func (g *Gateway) resume(w http.ResponseWriter, now *CanonicalRequest, h held, named []string) error {
	r, err := h.request(now.in)
	if err != nil {
		return err
	}
	req, err := g.canonical(w, r)
	if err != nil {
		return err
	}
	req.Client, req.client, req.via, req.certificate = now.Client, now.client, now.via, now.certificate // the headers that say so are read already
	req.record.Client = now.client
	if g.own.holds(req.decoded) {
		return &pages.Error{Code: codeNoRoute}
	}
	return g.pass(&away{ResponseWriter: w, target: r.URL}, req, named)
}

// away is the ResponseWriter of an answer to a request that was made at another address than the browser's
// own: it completes what the browser would complete by the wrong address, a relative Location and the
// path of a cookie that names none (RFC 6265 §5.1.4).
type away struct {
	http.ResponseWriter
	target *url.URL
}

// Unwrap is for http.ResponseController and telemetry.From.
func (a *away) Unwrap() http.ResponseWriter { return a.ResponseWriter }

func (a *away) WriteHeader(status int) {
	h := a.Header()
	if to := h.Get("Location"); to != "" && to[0] != '/' {
		if u, err := url.Parse(to); err == nil && u.Scheme == "" {
			h.Set("Location", a.target.ResolveReference(u).String())
		}
	}
	for i, line := range h["Set-Cookie"] {
		h["Set-Cookie"][i] = withPath(line, a.target.EscapedPath())
	}
	a.ResponseWriter.WriteHeader(status)
}

// withPath gives a cookie the path that it would have had by its own address.
func withPath(cookie, target string) string {
	_, attributes, _ := strings.Cut(cookie, ";")
	path := ""
	for attribute := range strings.SplitSeq(attributes, ";") {
		if name, value, _ := strings.Cut(attribute, "="); strings.EqualFold(strings.TrimSpace(name), "path") {
			path = strings.TrimSpace(value) // the last one counts
		}
	}
	if strings.HasPrefix(path, "/") {
		return cookie
	}
	return cookie + "; Path=" + target[:max(1, strings.LastIndexByte(target, '/'))]
}
