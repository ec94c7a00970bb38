// Package proxy is the sentence that Doorward is named after: a request becomes an
// identity, an identity becomes a credential, a credential goes upstream.
//
// [Gateway] takes each request through the same steps: canonical (one view of the
// request, cleaned headers, a known host), Find (a route), decide (who is it, may they
// pass), challenge (how to sign in) or credential (what the upstream shall see), forward.
// Everything that can fail happens before forward, because httputil.ReverseProxy's Rewrite
// can neither fail nor answer.
//
// It never forwards what it did not judge, never without a Decision that says Allow, and
// never a header that only a gateway may set. It knows no provider, no session store and
// no login flow: what it needs of them it declares as [Authenticator], [Bearer], [Starter] and
// [Source]. A request is judged by one proof alone: by Authorization, a key, or a token in a place that
// the route names, however that ends, and by the cookie only where there is none of them (accept.go,
// places.go). A body is buffered only where a request must be approved first: [Approver], approve.go.
//
// [Egress] is the other direction: the calls of local applications, which get the token of their target. It takes the same
// steps with the same parts: find (a target, by the configuration's words alone), identify, credential, forward. No part of a
// call, and nothing that an upstream answers, decides where a token goes.
//
// Other proxies ask about requests that they forward themselves: forward_auth.go, and package extauthz for Envoy. A question takes
// the steps of a request (steps.go), and ends with an answer.
//
// Start at Gateway.serve in proxy.go, or at Egress.serve in egress.go. The attacks of the catalogue are tests by their numbers,
// attack_*_test.go, against a gateway on a real socket (lab_test.go) in front of an upstream
// that notes every byte (capture_test.go).
package proxy
