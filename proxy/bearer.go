package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

const headerDPoP = "Dpop" // as net/http writes it

// check has a provider's token judged. token is "" if it stands in Authorization.
func (c *callers) check(req *CanonicalRequest, found caller, token string) (caller, error) {
	p := credentials.Presented{
		Token: token, Scheme: credentials.SchemeBearer, Proofs: req.in.Header[headerDPoP],
		Method: req.Method, URL: req.site.origin + req.Path, Certificate: c.possession.of(req),
	}
	if token == "" {
		p.Token, p.Scheme = inAuthorization(req.in.Header[headerAuthorization][0])
	}
	found.scheme = p.Scheme
	who, err := c.bearer.Check(req.in.Context(), p)
	if err == nil {
		found.who = who
	}
	return found, err
}

// inAuthorization reads a line that claim has found to be a provider's token.
func inAuthorization(line string) (token, scheme string) {
	if token, ok := credentials.DPoP(line); ok {
		return token, credentials.SchemeDPoP
	}
	token, _ = credentials.Bearer(line)
	return token, credentials.SchemeBearer
}

// bearerStreams ends streams with the token that they were begun with.
type bearerStreams struct{ bearer Bearer }

func (b bearerStreams) Alive(r *http.Request, who *identity.Identity) (bool, error) {
	return b.bearer.Alive(r.Context(), who)
}

// Current tells what a provider says of an opaque token by now.
func (b bearerStreams) Current(r *http.Request, who *identity.Identity) (*identity.Identity, error) {
	if p, ok := b.bearer.(BearerPresent); ok {
		return p.Current(r.Context(), who)
	}
	if alive, err := b.bearer.Alive(r.Context(), who); !alive || err != nil {
		return nil, err
	}
	return who, nil
}

// tokenInQuery reports whether a query holds an access token, as RFC 6750 §2.3 once allowed. It is in logs, histories and
// Referer headers by then, and is never looked at (RFC 9700 §4.3.2, P129).
func tokenInQuery(query string) bool {
	for query != "" {
		var pair string
		if i := strings.IndexAny(query, "&;"); i >= 0 {
			pair, query = query[:i], query[i+1:]
		} else {
			pair, query = query, ""
		}
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if strings.EqualFold(strings.TrimSpace(name), "access_token") {
			return true
		}
	}
	return false
}

var errTokenInQuery = &credentials.Refusal{Word: credentials.InvalidRequest, Description: "A token in the query of an address is not accepted; send it in Authorization"}

// refusalOf says what is wrong with a claim of which nobody said it.
func refusalOf(c caller) *credentials.Refusal {
	switch c.claim {
	case ambiguousClaim:
		return &credentials.Refusal{Scheme: c.scheme, Word: credentials.InvalidRequest, Description: "The request proves who is calling in more than one way"}
	case brokenClaim:
		if c.place != "" {
			return &credentials.Refusal{Word: credentials.InvalidToken, Description: "The " + c.place + " does not hold the bare token of a provider"}
		}
		return &credentials.Refusal{Word: credentials.InvalidToken, Description: "The header Authorization cannot be read"}
	case apiKey:
		return &credentials.Refusal{Scheme: c.scheme, Word: credentials.InvalidToken, Description: "The key does not count here, or not any more"}
	}
	return &credentials.Refusal{Scheme: c.scheme, Word: credentials.InvalidToken, Description: "The token does not count here, or not any more"}
}

// refused is the answer to a caller whose token, key or proof does not count. It never becomes a login: whoever sends one
// wants to hear what is wrong with it.
func (rt *route) refused(w http.ResponseWriter, req *CanonicalRequest, why *credentials.Refusal) Decision {
	d := Decision{Outcome: Deny, Err: rt.refusal(w, req, why)}
	if why.Status() == http.StatusUnauthorized {
		d.Outcome = Login
	}
	return d
}

func (rt *route) refusal(w http.ResponseWriter, req *CanonicalRequest, why *credentials.Refusal) *pages.Error {
	return refuse(w, why, rt.challengesFor(req, why)...)
}

// refuse puts a Refusal into HTTP (RFC 6750 §3, RFC 9449 §7.1 and §9).
func refuse(w http.ResponseWriter, why *credentials.Refusal, challenges ...string) *pages.Error {
	if why.Nonce != "" {
		w.Header()["Dpop-Nonce"] = []string{why.Nonce}
	}
	e := &pages.Error{Code: codeInvalidToken, Status: why.Status(), Challenge: challenges, Err: why}
	if why.Description != "" {
		e.Detail = strings.TrimSuffix(why.Description, ".") + "."
	}
	switch why.Word {
	case credentials.InvalidRequest:
		e.Code = codeBadRequest
	case credentials.InsufficientScope:
		e.Code = codeInsufficientScope
	case credentials.InsufficientClaims:
		e.Code = codeStepUp
	}
	return e
}

// keyBound reports whether a token is good only together with a key that its caller holds (RFC 7800 §3): passed on as it is, it
// is worth nothing.
func keyBound(who *identity.Identity) bool {
	cnf, ok := who.Claims.Lookup("cnf")
	return ok && cnf != nil
}

// errKeyBound is why such a token goes no further. An exchange is no way out, as a rule: the provider wants a proof by the
// same key there.
func errKeyBound() *pages.Error {
	return &pages.Error{
		Code: codeCredentialRefused, Detail: "The token is bound to a key that its caller holds (cnf), so that it cannot be passed on. Use one that is not bound.",
		Err: errors.New("credential = \"session\" cannot pass on a token that is bound by DPoP or to a certificate; callers need one that is not bound"),
	}
}
