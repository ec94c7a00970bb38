package sequence

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const maxParams = 40 // of a request, and of an answer

// request reads the parameters of a request, of whose body there is a bounded copy.
func (r *redactor) request(q *http.Request, body []byte) []Param {
	all := r.params(InQuery, q.URL.RawQuery)
	switch mediaType(q.Header) {
	case "application/x-www-form-urlencoded":
		all = append(all, r.params(InForm, string(body))...)
	case "application/json":
		all = append(all, r.members(body, false)...)
	}
	for _, value := range q.Header["Authorization"] {
		all = append(all, r.authorization(value)...)
	}
	for _, name := range []string{"X-Forwarded-User", "X-Forwarded-Preferred-Username", "X-Forwarded-Email", "X-Forwarded-Groups", "Doorward-Approval"} {
		for _, value := range q.Header.Values(name) {
			all = append(all, r.param(InHeader, name, value))
		}
	}
	for _, c := range q.Cookies() {
		all = r.cookie(all, c)
	}
	return all[:min(len(all), maxParams)]
}

// answer reads the parameters of an answer, and where it leads.
func (r *redactor) answer(h http.Header, body []byte) (location string, all []Param) {
	if u, err := url.Parse(h.Get("Location")); err == nil && h.Get("Location") != "" {
		location = r.path(u.EscapedPath())
		if u.Host != "" {
			location = u.Scheme + "://" + cut(u.Host, maxValue) + location
		}
		all = append(r.params(InLocation, u.RawQuery), r.params(InFragment, u.EscapedFragment())...)
	}
	for _, name := range []string{"WWW-Authenticate", "Retry-After"} {
		for _, value := range h.Values(name) {
			scheme, _, _ := strings.Cut(value, ",") // the realm, and not what an error is about
			all = append(all, r.param(InHeader, name, scheme))
		}
	}
	switch kind := mediaType(h); kind {
	case "application/json", "application/problem+json":
		all = append(all, r.members(body, kind == "application/problem+json")...)
	case "text/html":
		all = append(all, r.hidden(body)...)
	}
	for _, line := range h.Values("Set-Cookie") {
		if c, err := http.ParseSetCookie(line); err == nil {
			all = r.cookie(all, c)
		}
	}
	return location, all[:min(len(all), maxParams)]
}

func mediaType(h http.Header) string {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return kind
}

// params reads a query or a form in the order in which it stands. A piece that cannot be decoded is a secret too.
func (r *redactor) params(in, encoded string) (all []Param) {
	for pair := range strings.SplitSeq(encoded, "&") {
		if pair == "" || len(all) == maxParams {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		plainName, err1 := url.QueryUnescape(name)
		plain, err2 := url.QueryUnescape(value)
		if err1 != nil || err2 != nil {
			all = append(all, r.secret(Param{In: in, Name: "unnamed"}, pair))
			continue
		}
		all = append(all, r.param(in, plainName, plain))
	}
	return all
}

// members reads a JSON object; those of an object in it are named with a dot. code is what a problem
// document calls its error.
func (r *redactor) members(body []byte, problem bool) (all []Param) {
	var object map[string]any
	if json.Unmarshal(body, &object) != nil {
		return nil
	}
	var read func(prefix string, o map[string]any, deep int)
	read = func(prefix string, o map[string]any, deep int) {
		for _, name := range slices.Sorted(maps.Keys(o)) {
			if len(all) == maxParams {
				return
			}
			if inner, ok := o[name].(map[string]any); ok && deep < 2 {
				read(prefix+name+".", inner, deep+1)
				continue
			}
			if value := text(o[name]); problem && name == "code" && !looksSecret(value) {
				all = append(all, Param{In: InJSON, Name: name, Value: cut(value, maxValue)})
			} else {
				all = append(all, r.param(InJSON, prefix+name, value))
			}
		}
	}
	read("", object, 0)
	return all
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return fmt.Sprintf("%g", v)
	case []any:
		words := make([]string, 0, len(v))
		for _, w := range v {
			words = append(words, text(w))
		}
		return strings.Join(words, " ")
	}
	return fmt.Sprint(v)
}

// hiddenField is how the pages of Doorward and of the demo's provider write what a form carries along.
var hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

func (r *redactor) hidden(page []byte) (all []Param) {
	for _, m := range hiddenField.FindAllSubmatch(page, maxParams) {
		p := r.param(InPage, html.UnescapeString(string(m[1])), html.UnescapeString(string(m[2])))
		if !slices.Contains(all, p) { // a page may hold several forms
			all = append(all, p)
		}
	}
	return all
}

// cookie keeps the name of a cookie of the demo's own. Cookies know no ports: others of this host belong to
// whatever else runs on this machine.
func (r *redactor) cookie(all []Param, c *http.Cookie) []Param {
	if !slices.ContainsFunc(r.cookies, func(prefix string) bool { return strings.HasPrefix(c.Name, prefix) }) {
		return all
	}
	value := r.fingerprint(c.Value)
	if c.MaxAge < 0 || c.Value == "" {
		value = "removed"
	}
	return append(all, Param{In: InCookie, Name: label(c.Name), Value: value, Kind: kindCookie})
}

// authorization takes an Authorization header apart.
func (r *redactor) authorization(value string) []Param {
	scheme, rest, _ := strings.Cut(value, " ")
	switch strings.ToLower(scheme) {
	case "bearer":
		p := Param{In: InHeader, Name: "Authorization: Bearer", Kind: "access token", Value: r.fingerprint(rest)}
		if strings.HasPrefix(rest, "dw1.") || strings.HasPrefix(rest, "dwp.") {
			p.Kind = "ticket"
		}
		return []Param{p}
	case "basic":
		raw, err := base64.StdEncoding.DecodeString(rest)
		if name, password, ok := strings.Cut(string(raw), ":"); ok && err == nil {
			return []Param{r.param(InHeader, "username", unescaped(name)), {In: InHeader, Name: "Authorization: Basic", Kind: kindPassword, Value: r.fingerprint(unescaped(password))}}
		}
	}
	return []Param{{In: InHeader, Name: "Authorization", Kind: kindOther, Value: r.fingerprint(value)}}
}

// unescaped undoes what RFC 6749 §2.3.1 has clients do to their ID and secret.
func unescaped(s string) string {
	if plain, err := url.QueryUnescape(s); err == nil {
		return plain
	}
	return s
}
