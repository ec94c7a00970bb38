package wire

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// behaviour is what an upstream does. Two requests are sent to it, one after the other.
type behaviour struct {
	method string // "" = GET
	script func(*peer)
	drops  bool // the client closes the connection after the first answer
}

const (
	abc   = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
	chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
)

// twice answers the first request of all with one and every other with abc.
func twice(one func(*peer)) func(*peer) {
	return func(p *peer) {
		if p.number == 1 {
			one(p)
			return
		}
		always(abc)(p)
	}
}

var behaviours = map[string]behaviour{
	// How long a connection lives.
	"keep-alive":                {script: always(abc)},
	"close":                     {script: once("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")},
	"close announced, not done": {script: always("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: x, CLOSE\r\n\r\nabc"), drops: true},
	"1.0":                       {script: always("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc"), drops: true},
	"1.0 keep-alive":            {script: always("HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nabc")},
	"1.0 until the end":         {script: once("HTTP/1.0 200 OK\r\n\r\nabc")},
	"until the end":             {script: once("HTTP/1.1 200 OK\r\n\r\nabc")},
	"keep-alive until the end":  {script: once("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\nabc")},
	"byte by byte":              {script: slowly("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")},
	"long body":                 {script: always("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + strings.Repeat("x", 1000000))},
	"other versions of 1":       {script: always("HTTP/1.9 200 OK\r\nContent-Length: 3\r\n\r\nabc")},

	// Nothing but a header.
	"empty":               {script: always("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")},
	"204":                 {script: always("HTTP/1.1 204 No Content\r\n\r\n")},
	"304":                 {script: always("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n")},
	"304 with a length":   {script: always("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n")},
	"204 with a body":     {script: always("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc"), drops: true},
	"204 chunked":         {script: always("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n")},
	"304 with a body":     {script: always("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\nabc"), drops: true},
	"HEAD":                {method: "HEAD", script: always("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")},
	"HEAD with a body":    {method: "HEAD", script: always(abc), drops: true},
	"HEAD without length": {method: "HEAD", script: always("HTTP/1.1 200 OK\r\n\r\n")},
	"HEAD chunked":        {method: "HEAD", script: always(chunk + "\r\n")},
	"HEAD 404":            {method: "HEAD", script: always("HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\n")},
	"HEAD close":          {method: "HEAD", script: always("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"), drops: true},
	"HEAD bad length":     {method: "HEAD", script: once("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n")},

	// Chunks and what follows them.
	"chunked":                      {script: always(chunk + "\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")},
	"chunked, nothing":             {script: always(chunk + "\r\n0\r\n\r\n")},
	"chunked, slowly":              {script: slowly(chunk + "\r\n3\r\nabc\r\n0\r\n\r\n")},
	"trailers":                     {script: always(chunk + "Trailer: X-A, X-B\r\n\r\n3\r\nabc\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n")},
	"trailers not announced":       {script: always(chunk + "\r\n3\r\nabc\r\n0\r\nX-A: 1\r\n\r\n")},
	"trailers not sent":            {script: always(chunk + "Trailer: X-A\r\n\r\n3\r\nabc\r\n0\r\n\r\n")},
	"trailers forbidden":           {script: once(chunk + "Trailer: Content-Length\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 1\r\n\r\n")},
	"trailers too long":            {script: once(chunk + "\r\n3\r\nabc\r\n0\r\nX-A: " + strings.Repeat("a", 5000) + "\r\n\r\n")},
	"trailers broken":              {script: once(chunk + "\r\n3\r\nabc\r\n0\r\nno field\r\n\r\n")},
	"trailers cut":                 {script: once(chunk + "\r\n3\r\nabc\r\n0\r\nX-A: 1\r\n")},
	"chunked 1.0":                  {script: once("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")},
	"chunk size broken":            {script: once(chunk + "\r\nzz\r\nabc\r\n0\r\n\r\n")},
	"chunk size broken, and waits": {script: always(chunk + "\r\nzz\r\n"), drops: true},
	"chunk size negative":          {script: once(chunk + "\r\n-3\r\nabc\r\n0\r\n\r\n")},
	"chunk size huge":              {script: once(chunk + "\r\nfffffffffffffffff\r\nabc\r\n0\r\n\r\n")},
	"chunk too long":               {script: once(chunk + "\r\n2\r\nabc\r\n0\r\n\r\n")},
	"chunk with bare LF":           {script: once(chunk + "\r\n3\nabc\n0\n\n")},
	"chunk cut":                    {script: once(chunk + "\r\n5\r\nabc")},
	"last chunk missing":           {script: once(chunk + "\r\n3\r\nabc\r\n")},
	"chunked and a length":         {script: always("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")},
	"gzip, chunked":                {script: once("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")},
	"two codings":                  {script: once("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")},
	"identity":                     {script: once("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc")},

	// More or less than was said. What stands behind an answer would be the answer to somebody else.
	"short body":               {script: once("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc")},
	"extra bytes":              {script: always(abc + "x"), drops: true},
	"two answers":              {script: always(abc + "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"), drops: true},
	"two answers, chunked":     {script: always(chunk + "\r\n3\r\nabc\r\n0\r\n\r\n" + abc), drops: true},
	"two answers, empty":       {script: always("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + abc), drops: true},
	"one line too many":        {script: always(abc + "\r\n"), drops: true},
	"no answer":                {script: once("")},
	"closed while idle":        {script: twice(once(abc))},
	"closed without an answer": {script: closedOnce(1)},
	"reused, then closed":      {script: closedOnce(2)},
	"always closed":            {script: once("")},
	"closed in a header":       {script: once("HTTP/1.1 200 OK\r\nContent-Le")},
	"closed in a status line":  {script: once("HTTP/1.1 2")},
	"reused, then half":        {script: func(p *peer) { p.request(); p.say(abc); p.request(); p.say("HTTP/1.1 2") }},

	// Lengths.
	"two equal lengths":     {script: always("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc")},
	"two different lengths": {script: once("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")},
	"a list of lengths":     {script: once("HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc")},
	"negative length":       {script: once("HTTP/1.1 200 OK\r\nContent-Length: -3\r\n\r\nabc")},
	"length with sign":      {script: once("HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc")},
	"empty length":          {script: once("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nabc")},
	"huge length":           {script: once("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc")},

	// Headers.
	"bare LF":              {script: always("HTTP/1.1 200 OK\nContent-Length: 3\nX: y\n\nabc")},
	"bare CR":              {script: once("HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 3\r\n\r\nabc")},
	"obs-fold":             {script: always("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 3\r\n\r\nabc")},
	"folded first":         {script: once("HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 3\r\n\r\nabc")},
	"NUL in a value":       {script: once("HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 3\r\n\r\nabc")},
	"space before a colon": {script: once("HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\nabc")},
	"space in a name":      {script: always("HTTP/1.1 200 OK\r\nX Y: z\r\nContent-Length: 3\r\n\r\nabc")},
	"no colon":             {script: once("HTTP/1.1 200 OK\r\nX\r\nContent-Length: 3\r\n\r\nabc")},
	"empty name":           {script: once("HTTP/1.1 200 OK\r\n: x\r\nContent-Length: 3\r\n\r\nabc")},
	"bytes beyond ASCII":   {script: always("HTTP/1.1 200 \xff\r\nX: \xc3\xa4\xff\r\nContent-Length: 3\r\n\r\nabc")},
	"Pragma":               {script: always("HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 3\r\n\r\nabc")},
	"several lines":        {script: always("HTTP/1.1 200 OK\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\nContent-Length: 3\r\n\r\nabc")},
	"much header":          {script: always("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", headerLimit-100) + "\r\nContent-Length: 3\r\n\r\nabc")},
	"too much header":      {script: once("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", headerLimit) + "\r\nContent-Length: 3\r\n\r\nabc")},
	"endless header":       {script: once("HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", headerLimit))},

	// Status lines.
	"no HTTP":              {script: once("SSH-2.0-OpenSSH_9.9\r\n")},
	"0.9":                  {script: once("<html>abc</html>")},
	"0.9 in a line":        {script: once("<html> abc </html>\r\n\r\n")},
	"version 2":            {script: once("HTTP/2.0 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc")},
	"version x":            {script: once("HTTP/1.x 200 OK\r\nContent-Length: 3\r\n\r\nabc")},
	"lower case":           {script: once("http/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc")},
	"status of two digits": {script: once("HTTP/1.1 20 OK\r\nContent-Length: 3\r\n\r\nabc")},
	"negative status":      {script: once("HTTP/1.1 -20 OK\r\nContent-Length: 3\r\n\r\nabc")},
	"no status":            {script: once("HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc")},
	"no reason":            {script: always("HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc")},
	"status 999":           {script: always("HTTP/1.1 999 X\r\nContent-Length: 3\r\n\r\nabc")},
	"a line before":        {script: once("\r\n" + abc)},
	"NULs":                 {script: once(strings.Repeat("\x00", 100))},

	// Interim answers.
	"100":                 {script: always("HTTP/1.1 100 Continue\r\n\r\n" + abc)},
	"102, 103 and 199":    {script: always("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 199 X\r\n\r\n" + abc)},
	"many interim":        {script: always(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 1000) + abc)},
	"interim with length": {script: always("HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\n" + abc)},
	"interim, then none":  {script: once("HTTP/1.1 103 Early Hints\r\n\r\n")},
	"interim, then junk":  {script: once("HTTP/1.1 103 Early Hints\r\n\r\njunk\r\n")},
	"HEAD interim":        {method: "HEAD", script: always("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n")},
}

// closedOnce answers but for the nth request of the first connection, which it hangs up on.
func closedOnce(nth int) func(*peer) {
	return twice(func(p *peer) {
		for range nth - 1 {
			p.request()
			p.say(abc)
		}
		p.request()
	})
}

// TestUpstreamsAreUnderstoodLikeByHTTPTransport also compares the requests, byte for byte,
// and on how many connections they came.
func TestUpstreamsAreUnderstoodLikeByHTTPTransport(t *testing.T) {
	for name, b := range behaviours {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			right, got := b.direct(t, newStandard(dialTCP)), b.direct(t, newWire(t, dialTCP))
			if got != right {
				t.Errorf("wire:\n%s\nhttp.Transport:\n%s", brief(got), brief(right))
			}
		})
	}
}

func (b behaviour) direct(t *testing.T, s subject) string {
	t.Helper()
	defer s.CloseIdleConnections()
	u := newUpstream(t, b.script)
	first := get(t.Context(), s, b.verb(), u.url("/1?a"))
	if b.drops {
		u.awaitGone(t)
	}
	second := get(t.Context(), s, b.verb(), u.url("/2?b"))
	return u.account(first.String(), second.String())
}

func (b behaviour) verb() string {
	if b.method == "" {
		return http.MethodGet
	}
	return b.method
}

func (u *upstream) account(outcomes ...string) string {
	conns, heads := u.seen()
	heads = slices.Clone(heads)
	for i := range heads {
		heads[i] = strings.ReplaceAll(heads[i], u.listener.Addr().String(), "UPSTREAM")
	}
	return fmt.Sprintf("%s\n%d connections\n%q", strings.Join(outcomes, "\n"), conns, heads)
}

func TestReverseProxyIsServedLikeByHTTPTransport(t *testing.T) {
	all := map[string]behaviour{
		"101":               {script: once("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")},
		"101 to nothing":    {script: once("HTTP/1.1 101 Switching Protocols\r\n\r\n")},
		"101 after interim": {script: once("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")},
	}
	for name, b := range behaviours {
		all[name] = b
	}
	for name, b := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			right, got := b.proxied(t, newStandard(dialTCP)), b.proxied(t, newWire(t, dialTCP))
			if got != right {
				t.Errorf("wire:\n%s\nhttp.Transport:\n%s", brief(got), brief(right))
			}
		})
	}
}

func (b behaviour) proxied(t *testing.T, s subject) string {
	t.Helper()
	defer s.CloseIdleConnections()
	u := newUpstream(t, b.script)
	target, err := url.Parse(u.url(""))
	if err != nil {
		t.Fatal(err)
	}
	silent := log.New(io.Discard, "", 0)
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: s,
		ErrorLog:  silent,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, errClass(err), http.StatusBadGateway)
		},
	}
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil // or net/http guesses it, if it sees some of the body before ReverseProxy's first flush
		proxy.ServeHTTP(w, r)
	}))
	front.Config.ErrorLog = silent
	front.Start()
	defer front.Close()
	client := &http.Transport{DisableKeepAlives: true}
	var outcomes []string
	for i := range 2 {
		o := get(context.Background(), client, b.verb(), fmt.Sprintf("%s/%d?a", front.URL, i))
		o.Header.Del("Date")
		if o.Body == "" && o.BodyErr != "" { // whether the header got out depends on that flush
			o = outcome{Interim: o.Interim, Err: o.BodyErr}
		}
		if o.Body == "" { // how it is framed depends on that flush too
			o.Length, o.Coding = 0, nil
			if o.Header.Get("Content-Length") == "0" {
				o.Header.Del("Content-Length")
			}
		}
		outcomes = append(outcomes, o.String())
		if i == 0 && b.drops {
			u.awaitGone(t)
		}
	}
	return u.account(outcomes...)
}
