// Package wire is an http.RoundTripper for upstreams that costs less than http.Transport for
// the requests that are most frequent: GET and HEAD without a body over plain HTTP/1.1. The
// goroutine of the caller writes the request and reads the answer; no connection has
// goroutines of its own. Everything else goes to another RoundTripper, unchanged.
//
// What it never does:
//   - give a connection to two requests, or use one again after any doubt about where an
//     answer ends: bytes behind an answer, bytes while it was idle, a body that was not read
//     to its end, a request that was cancelled;
//   - read an answer by its own understanding: http.ReadResponse decides what HTTP is;
//   - follow redirects, ask for compression, use a proxy, keep cookies;
//   - put the value of a header field into an error.
//
// It differs from http.Transport in this, each tested: a 101 that nobody asked for and a
// status below 100 are errors; a space in the target is one; of the hooks of httptrace only
// Got1xxResponse is called; what a Dial returns is used again only
// if it is a *net.TCPConn or *net.UnixConn on unix, because no other can be asked whether it
// is still quiet.
//
// Start reading at RoundTrip in transport.go; exchange.go holds the rule of who owns a
// connection.
package wire
