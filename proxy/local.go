package proxy

import (
	"errors"
	"net/http"
)

// Answer is what a route answers itself, in the place of an upstream. Exactly one of its parts is given.
type Answer struct {
	Redirect *Redirect
	Respond  *Respond
	Files    *Files
}

// answerer is an Answer, made ready. The policy has let a request pass before it is asked.
type answerer struct {
	redirect *redirector
	respond  *responder
	files    *fileServer
}

func newAnswerer(rc Route) (a *answerer, err error) {
	if rc.Answer == nil {
		return nil, nil
	}
	parts := 0
	for _, given := range [...]bool{len(rc.Upstreams) > 0, rc.Answer.Redirect != nil, rc.Answer.Respond != nil, rc.Answer.Files != nil} {
		if given {
			parts++
		}
	}
	switch {
	case parts != 1:
		return nil, errors.New("a route has exactly one of upstream, redirect, respond and files")
	case rc.Approve != nil:
		return nil, errors.New("approve: there is nothing to approve where nothing goes upstream")
	case rc.Credential != "" && rc.Credential != credentialNone:
		return nil, errors.New("credential: there is no upstream that it could go to")
	}
	a = &answerer{}
	switch {
	case rc.Answer.Redirect != nil:
		a.redirect, err = newRedirector(*rc.Answer.Redirect, rc)
	case rc.Answer.Respond != nil:
		a.respond, err = newResponder(*rc.Answer.Respond)
	default:
		a.files, err = newFileServer(*rc.Answer.Files, rc)
	}
	return a, err
}

// serve answers a request that may pass. Like forward it takes the decision, so that nothing else leads here.
func (a *answerer) serve(w http.ResponseWriter, req *CanonicalRequest, rt *route, d Decision) error {
	if d.Outcome != Allow {
		return d.refusal()
	}
	switch {
	case a.redirect != nil:
		return a.redirect.serve(w, req, rt)
	case a.respond != nil:
		return a.respond.serve(w, req, rt)
	}
	return a.files.serve(w, req, rt)
}

// String says for an operator what the answer is.
func (a *answerer) String() string {
	switch {
	case a.redirect != nil:
		return a.redirect.String()
	case a.respond != nil:
		return a.respond.String()
	}
	return a.files.String()
}

var noSniffing = []string{"nosniff"}

// dress is done to the headers of every answer of a route itself. What somebody signed in may see is not for shared caches
// (P154), and what is not named as a page never becomes one.
func (rt *route) dress(h http.Header) {
	h["X-Content-Type-Options"] = noSniffing
	if !rt.public {
		keepPrivate(h)
	}
}
