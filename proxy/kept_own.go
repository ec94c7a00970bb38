package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/doorward/doorward/internal/pages"
)

// keptField is the one field of the form on our page that sends a kept form. It goes to the kept form's own target, so that the
// address and all relative links of the answer are right.
const (
	keptField    = "doorward_kept"
	keptIDLength = 22 // base64url of 128 bits
	keptBody     = len(keptField) + len("=") + keptIDLength
)

const codeFormGone = "form_gone"

// holds reports whether a path is that of a kept form, and returns its id.
func (k *kept) holds(req *CanonicalRequest) (id string, ok bool) {
	if k == nil || req.decoded != req.Path {
		return "", false
	}
	id, ok = strings.CutPrefix(req.decoded, k.prefix)
	return id, ok && keptID(id)
}

func keptID(id string) bool {
	return len(id) == keptIDLength && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// show answers with the page that sends a kept form. It is for the browser that left it, whoever has signed in there: whether
// they may send it is judged when it is sent. Looking at the page sends nothing.
func (k *kept) show(w http.ResponseWriter, req *CanonicalRequest, id string) error {
	req.record.Route, req.record.Outcome = "own", "own"
	if m := req.Method; m != http.MethodGet && m != http.MethodHead {
		return methodNotAllowed(w, "GET, HEAD")
	}
	text, err := k.keeper.Find(req.in, id)
	switch {
	case err != nil:
		return unknowable(err)
	case text == nil:
		return &pages.Error{Code: codeFormGone}
	}
	h, err := unhold(text)
	if err != nil {
		return err
	}
	path, _, _ := strings.Cut(h.Target, "?")
	k.pages.KeptForm(w, req.in, pages.KeptForm{
		Host: req.site.authority, Request: h.Method + " " + path,
		Send: pages.Form{Action: inAttribute(h.Target), Hidden: []pages.Field{{Name: keptField, Value: id}}},
	})
	return nil
}

// sent reports whether req is what that page sends, and returns the id in it. Only of a POST of exactly its length is the body
// looked at, and then put back. It never goes upstream, whoever has it: an application would take it for a form without fields.
func (k *kept) sent(req *CanonicalRequest) (id string, ok bool) {
	if k == nil {
		return "", false
	}
	r := req.in
	if r.Method != http.MethodPost || r.ContentLength != int64(keptBody) {
		return "", false
	}
	if media := r.Header["Content-Type"]; len(media) != 1 || !strings.HasPrefix(media[0], "application/x-www-form-urlencoded") {
		return "", false
	}
	text := make([]byte, keptBody)
	n, err := io.ReadFull(r.Body, text)
	r.Body = seen{io.MultiReader(bytes.NewReader(text[:n]), r.Body), r.Body}
	if err != nil { // whoever reads on gets to hear so
		return "", false
	}
	id, ok = strings.CutPrefix(string(text), keptField+"=")
	return id, ok && keptID(id)
}

// seen is a body whose beginning was looked at.
type seen struct {
	io.Reader
	io.Closer
}

// sendKept puts a kept form into the place of what our page has sent, once, and lets it go the ordinary way: it is judged by the
// rules and with the session of now. What is refused is gone. What could not be answered just now was never sent, and is kept
// anew.
func (g *Gateway) sendKept(w http.ResponseWriter, req *CanonicalRequest, id string) error {
	if !fromOwnPage(req) {
		return crossSite(req) // nobody but the person says when it is sent (P184)
	}
	text, err := g.kept.keeper.Take(w, req.in, id)
	switch {
	case err != nil:
		return unknowable(err)
	case text == nil:
		return &pages.Error{Code: codeFormGone}
	}
	h, err := unhold(text)
	if err != nil {
		return err
	}
	if h.Method != req.Method || inAttribute(h.Target) != inAttribute(req.Target()) {
		return &pages.Error{Code: codeFormGone, Detail: "The form that was kept belongs to another address."}
	}
	err = g.resume(w, req, h, nil)
	var e *pages.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return g.kept.again(w, req, text, e)
	}
	return err
}

// inAttribute is a target as it stands in a page of ours, and comes back from there: html/template, and browsers each in their
// own way, encode what has a meaning in HTML or none in a URL. The kept form itself goes where it was sent first, byte for byte.
func inAttribute(target string) string {
	const plain = "-._~!#$&*+,/:;=?@[]"
	var b strings.Builder
	for i := 0; i < len(target); i++ {
		c := target[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte(plain, c) >= 0:
			b.WriteByte(c)
		case c == '%' && i+2 < len(target) && isHex(target[i+1]) && isHex(target[i+2]):
			b.WriteString(strings.ToUpper(target[i : i+3]))
			i += 2
		default:
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}

// again keeps a form anew that could not be sent just now, and says so.
func (k *kept) again(w http.ResponseWriter, req *CanonicalRequest, text []byte, e *pages.Error) error {
	id, err := k.keeper.Keep(w, req.in, text)
	if err != nil || id == "" {
		return e // the browser has it still, one page further back
	}
	told := *e
	told.Actions = append([]pages.Action{{Label: "Send the form again", URL: k.path(id)}}, e.Actions...)
	return &told
}
