package proxy

import (
	"iter"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/doorward/doorward/proxy/policy"
)

// fields is what of a body an expression can look at.
type fields struct {
	form map[string]string
	json any
}

// reads is what a message looks at.
type reads struct {
	form, json, query bool
	names             looks
}

func readsOf(message *policy.Text) reads {
	return reads{message.Reads("form"), message.Reads("json"), message.Reads("request.query"), looksOf(message)}
}

// fields parses what the message looks at, once, and refuses what another reader could take for something else.
func (m *reads) fields(h http.Header, query string, body []byte) (f fields, refusal string) {
	if refusal = m.names.onceInHeader(h); refusal != "" {
		return f, refusal
	}
	if f, refusal = m.body(h, query, body); refusal != "" || !m.form && !m.json && !m.query {
		return f, refusal
	}
	if m.query {
		if refusal = onceInQuery(query); refusal != "" {
			return f, refusal
		}
	}
	names, refusal := queryNames(query)
	if refusal == "" {
		refusal = m.names.check(&f, names)
	}
	return f, refusal
}

// body parses a body for a message that reads form, json, or neither. What the message looks at
// must be there to be looked at: if a body could come in another type, or packed, has(form.amount) would
// be false while the application finds the amount all the same. A message that looks at the query only leaves a body alone that is
// neither a form nor JSON: nobody finds parameters in others without being told to.
func (m *reads) body(h http.Header, query string, body []byte) (f fields, refusal string) {
	readsForm, readsJSON := m.form, m.json
	if len(body) == 0 || !readsForm && !readsJSON && !m.query {
		return f, ""
	}
	media, refusal := mediaType(h["Content-Type"])
	if !readsForm && !readsJSON {
		readsForm, readsJSON = isForm(media), isJSON(media)
		if refusal == "" && !readsForm && !readsJSON {
			return f, ""
		}
	}
	encoding := h["Content-Encoding"]
	switch {
	case refusal != "":
		return f, refusal
	case len(encoding) > 1, len(encoding) == 1 && !strings.EqualFold(encoding[0], "identity"):
		return f, "The body is compressed."
	case readsForm && isForm(media):
		if f.form, refusal = parseForm(string(body)); refusal == "" {
			refusal = notInQuery(maps.Keys(f.form), query)
		}
	case readsJSON && isJSON(media):
		if f.json, refusal = parseJSON(string(body)); refusal == "" {
			object, _ := f.json.(map[string]any)
			refusal = notInQuery(maps.Keys(object), query)
		}
	default:
		refusal = "The body is not of the type that is approved here."
	}
	return f, refusal
}

func isForm(media string) bool { return media == "application/x-www-form-urlencoded" }
func isJSON(media string) bool {
	return media == "application/json" || strings.HasSuffix(media, "+json")
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
