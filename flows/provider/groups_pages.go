package provider

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/secret"
)

// endpointLookUp is what metrics and traces call the APIs that are asked about people.
const endpointLookUp = "look_up"

// listing is one question to an API that answers in pages.
type listing struct {
	where  string // for messages
	first  string // URL of the first page
	header http.Header
	advice string // to the operator, if the answer is no
	read   func(a *answer) (page, error)
	judge  func(a *answer) *Error // nil = refusedGroups
}

// page is what one answer holds.
type page struct {
	items []string
	next  string // URL of the next page; "" = it is the last one
}

// bearerHeader is how an access token is shown to an API; never in the query (RFC 6750 §2.3).
func bearerHeader(access secret.String, accept string) http.Header {
	return http.Header{"Authorization": {"Bearer " + access.Reveal()}, "Accept": {accept}}
}

// list asks for all pages. The token goes to the scheme, host and port of the first page and nowhere else, whatever an
// answer says; pages and what is on them are bounded (P058, P059). It shows no client certificate: that is for the provider.
func (c *Client) list(ctx context.Context, l listing) (all []string, err error) {
	next := l.first
	for range maxGroupPages {
		a, err := c.plain.getFrom(ctx, endpointLookUp, next, l.header)
		if err != nil {
			return nil, err
		}
		if e := l.refused(a, c); e != nil {
			return nil, e
		}
		if !a.json() {
			return nil, fail(Misbehaved, "bad_response", "%s answered with %s, not JSON", l.where, shown(a.media))
		}
		p, err := l.read(a)
		if e, ok := err.(*Error); ok {
			return nil, e
		} else if err != nil {
			return nil, fail(Misbehaved, "bad_response", "%s: %v", l.where, err)
		}
		all = append(all, p.items...)
		if len(all) > maxListed {
			return nil, fail(Misconfigured, codeTooManyGroups, "%s lists more than %d groups", l.where, maxListed)
		}
		if p.next == "" {
			return all, nil
		}
		if !sameOrigin(l.first, p.next) {
			return nil, fail(Misbehaved, "foreign_page", "%s says that its next page is at %s; the token is not sent there", l.where, shown(bare(p.next)))
		}
		next = p.next
	}
	return nil, fail(Misbehaved, "too_large", "%s answered with %d pages and still has more", l.where, maxGroupPages)
}

func (l listing) refused(a *answer, c *Client) *Error {
	if l.judge != nil {
		if e := l.judge(a); e != nil {
			return e
		}
	}
	return a.refusedGroups(l.where, l.advice, c.now())
}

// sameOrigin tells whether a further page lies where the first one does.
func sameOrigin(first, next string) bool {
	a, err := url.Parse(first)
	if err != nil {
		return false
	}
	b, err := url.Parse(next)
	return err == nil && len(next) <= 8<<10 && printable(next) && b.User == nil && b.Opaque == "" &&
		strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Host, b.Host)
}

// parseArray reads a JSON array of objects, as strictly as parseObject reads an object.
func parseArray(b []byte) ([]object, error) {
	const name = "a"
	o, err := parseObject(append(append([]byte(`{"`+name+`":`), b...), '}'))
	if err != nil {
		return nil, err
	}
	if len(o) != 1 { // members after the array
		return nil, errors.New("not a JSON array")
	}
	return o.objects(name)
}

// objects returns an array of objects; missing and null are none.
func (o object) objects(name string) ([]object, error) {
	if !o.has(name) {
		return nil, nil
	}
	var list []json.RawMessage
	if json.Unmarshal(o[name], &list) != nil {
		return nil, errors.New(name + " is not an array")
	}
	out := make([]object, 0, len(list))
	for _, raw := range list {
		var e object
		if json.Unmarshal(raw, &e) != nil || e == nil {
			return nil, errors.New(name + " is not an array of objects")
		}
		out = append(out, e)
	}
	return out, nil
}

// need is str for what must be there.
func (o object) need(name string) (string, error) {
	s, err := o.str(name)
	if err == nil && s == "" {
		err = errors.New(name + " is missing")
	}
	return s, err
}
