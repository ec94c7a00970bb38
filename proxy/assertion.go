package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/doorward/doorward/internal/identity"
)

var errAssertion = errors.New("the signed assertion is larger than 32 KiB, or for another header")

// setAssertion finds the source of the signed statement about the caller that goes upstream beside whatever credential
// the route has.
func (rt *route) setAssertion(name string, sources map[string]Source) error {
	if name == "" {
		return nil
	}
	if rt.public {
		return errors.New("headers.assertion: a public route asks nobody who they are, so there is nothing to sign")
	}
	if rt.assertion = sources[name]; rt.assertion == nil {
		return fmt.Errorf("headers.assertion: there is no %q", name)
	}
	if s, ok := rt.assertion.(placed); ok {
		if header, _ := s.Place(); http.CanonicalHeaderKey(header) != rt.headers.assertion {
			return fmt.Errorf("headers.assertion: it goes into %s, not into %s", rt.headers.assertion, header)
		}
	}
	if rt.sourceHeader == rt.headers.assertion {
		return fmt.Errorf("credential: the signed assertion is in %s already", rt.sourceHeader)
	}
	return nil
}

// assert obtains what the route tells its upstream, signed, about who is calling; nil where it tells nothing, or nobody is.
// An upstream that verifies it would refuse a request without, and one that does so only sometimes would believe it: so
// it never goes without (S7). What is still good costs no allocation.
func (rt *route) assert(ctx context.Context, who *identity.Identity) (*identity.Credential, error) {
	if rt.assertion == nil || who == nil {
		return nil, nil
	}
	c, err := obtain(ctx, rt.assertion, who)
	if err == nil && (c.Header != rt.headers.assertion || len(c.Values[0]) > maxIdentityHeader) {
		err = errAssertion
	}
	if err != nil {
		return nil, unobtained(err, who)
	}
	return c, nil
}
