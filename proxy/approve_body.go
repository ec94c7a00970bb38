package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/pages"
)

// readBody takes a body into memory, up to limit, and puts it back for forwarding. Only
// requests that need an approval come here.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge(limit) // no 100 Continue was sent: nothing need arrive
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge(limit)
	case err != nil:
		return nil, &pages.Error{Code: codeBadRequest, Detail: "The body of the request could not be read.", Err: errRequestBody}
	}
	putBody(r, data)
	return data, nil
}

// putBody makes data the body of r. What came behind the body on the wire is gone with it.
func putBody(r *http.Request, data []byte) {
	r.Body, r.ContentLength, r.TransferEncoding, r.Trailer = io.NopCloser(bytes.NewReader(data)), int64(len(data)), nil, nil
	if len(data) == 0 {
		r.Body = http.NoBody
	}
}

func tooLarge(limit int64) error {
	return &pages.Error{Code: codeBodyTooLarge, Detail: fmt.Sprintf("A request that must be approved may have a body of %d bytes here.", limit)}
}

// fields is what of a body an expression can look at.
type fields struct {
	form map[string]string
	json any
}

// readFields parses a body once, for a message that reads form, json, or neither. What the message looks at
// must be there to be looked at: if a body could come in another type, or packed, has(form.amount) would
// be false while the application finds the amount all the same.
func readFields(h http.Header, query string, body []byte, readsForm, readsJSON bool) (f fields, refusal string) {
	if !readsForm && !readsJSON || len(body) == 0 {
		return f, ""
	}
	if encoding := h["Content-Encoding"]; len(encoding) > 0 && (len(encoding) > 1 || !strings.EqualFold(encoding[0], "identity")) {
		return f, "The body is compressed."
	}
	media, refusal := mediaType(h["Content-Type"])
	switch {
	case refusal != "":
		return f, refusal
	case readsForm && media == "application/x-www-form-urlencoded":
		if f.form, refusal = parseForm(string(body)); refusal == "" {
			refusal = notInQuery(maps.Keys(f.form), query)
		}
	case readsJSON && (media == "application/json" || strings.HasSuffix(media, "+json")):
		if f.json, refusal = parseJSON(string(body)); refusal == "" {
			object, _ := f.json.(map[string]any)
			refusal = notInQuery(maps.Keys(object), query)
		}
	default:
		refusal = "The body is not of the type that is approved here."
	}
	return f, refusal
}

// mediaType wants one type, and no other characters than those of UTF-8.
func mediaType(values []string) (media, refusal string) {
	if len(values) != 1 {
		return "", "The body has no Content-Type, or several."
	}
	media, parameters, err := mime.ParseMediaType(values[0])
	if err != nil {
		return "", "The Content-Type cannot be read."
	}
	if charset, ok := parameters["charset"]; ok && !strings.EqualFold(charset, "utf-8") {
		return "", "The body is not said to be UTF-8."
	}
	return media, ""
}

// notInQuery refuses a field that stands in the query too. Servers that look for a parameter in both
// (Java's getParameter, PHP's $_REQUEST, the params of Rails) may take the other one.
func notInQuery(fields iter.Seq[string], query string) (refusal string) {
	if query == "" {
		return ""
	}
	names := make(fieldNames)
	for name := range fields {
		_ = names.add(name)
	}
	values, refusal := queryNames(query)
	for name := range values {
		if names.holds(name) {
			return "Both the body and the address say " + quoted(name) + "."
		}
	}
	return refusal
}

// queryNames reads the names of a query, once for every reading.
func queryNames(query string) (names map[string]int, refusal string) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, "The query can be read in more than one way."
	}
	names = make(map[string]int, len(values))
	for name, all := range values {
		names[name] += len(all)
	}
	return names, ""
}

// onceInQuery refuses names that stand twice in a query that the message shows: which of them counts
// differs from server to server.
func onceInQuery(query string) (refusal string) {
	names, refusal := queryNames(query)
	seen := make(fieldNames)
	for name, n := range names {
		if n > 1 || seen.add(name) != "" {
			return twice(name)
		}
	}
	return refusal
}
