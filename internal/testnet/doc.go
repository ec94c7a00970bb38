// Package testnet lets tests speak real HTTP without sockets, and look at a site the way a browser does.
//
// [Network] holds in-memory listeners by "host:port". Real http.Server and http.Transport values
// work over it, also inside a testing/synctest bubble, where a socket would hang because the
// bubble's clock never moves while one is waited for. [Browser] is a small browser: cookies with
// the rules that browsers have, Sec-Fetch-* headers, Origin, redirects, forms.
//
// It is for tests only and is never linked into the program. Start reading at network.go and browser.go.
package testnet
