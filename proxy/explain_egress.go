package proxy

import (
	"errors"
	"net/http"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
)

// Explain judges an outgoing request of who. ok is false if the URL is no address of an [[egress]]: by path, by host, or in
// the absolute form of a proxy. What names the listener itself is answered as the listener would.
func (e *Egress) Explain(method, target string, who *identity.Identity) (x *Explanation, ok bool, err error) {
	r, err := supposed(method, target)
	if err != nil {
		return nil, false, err
	}
	if e.directory.lookup("", r.Host) == nil && e.directory.lookup(r.URL.Scheme, r.Host) == nil {
		return nil, false, nil // whatever its path is: it may be a route's
	}
	for _, form := range []string{r.URL.RequestURI(), target} {
		r.RequestURI = form
		c := &call{in: r, record: &telemetry.Record{}}
		var no *pages.Error
		switch err := e.directory.find(unheard{make(http.Header)}, c); {
		case errors.As(err, &no) && no.Code == codeNoSuchTarget:
			continue
		case err != nil:
			x, err = answered(err)
			return x, true, err
		case c.target == nil:
			return &Explanation{Own: true}, true, nil
		case !c.target.methods[method]:
			x, err = answered(methodNotAllowed(unheard{make(http.Header)}, c.target.allowed()))
			return x, true, err
		}
		return c.explain(who), true, nil
	}
	if at := e.directory.lookup("", r.Host); at != nil && at.self {
		x, err = answered(noSuchTarget(target))
		return x, true, err
	}
	return nil, false, nil
}

func (c *call) explain(who *identity.Identity) *Explanation {
	t, up := c.target, c.upstream
	if up == nil {
		up = &t.upstreams[0]
	}
	x := &Explanation{Route: t.label, Allowed: true, Rule: "any local caller", Target: c.address(up), Credential: credentialNone, Source: t.source}
	for i := 1; c.upstream == nil && i < len(t.upstreams); i++ {
		x.Others = append(x.Others, c.address(&t.upstreams[i]))
	}
	if t.bearer != nil {
		x.Rule = "whoever brings a bearer token that counts"
		x.Allowed = who != nil && who.Login == ""
	}
	switch {
	case t.session:
		x.Credential = credentialSession
	case t.source != nil:
		x.Credential = ""
		if named, ok := t.source.(interface{ Name() string }); ok {
			x.Credential = named.Name()
		}
	}
	return x
}

// address is where a call goes if up takes it.
func (c *call) address(up *upstream) string {
	path, decoded := c.encoded, c.decoded
	if !c.whole {
		path, decoded = up.base+path, up.decodedBase+decoded
	}
	return up.address(path, decoded, c.query)
}
