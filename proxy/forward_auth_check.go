package proxy

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Verdict is the answer to a question that was not asked by HTTP.
type Verdict struct {
	Allowed bool
	Status  int         // of the answer to the client where it is refused: 3xx to 5xx, and 204 to a preflight
	Set     http.Header // in the request to the upstream, in the place of what the client sent
	Remove  []string    // from it, in small letters
	Answer  http.Header // for the client: beside what the upstream answers, or of the refusal
	Body    []byte      // of the refusal
}

// Check answers a question about r, which somebody who is trusted describes: Method, Host, RequestURI, Header, and RemoteAddr
// of the client's connection to them. Nothing else of r is looked at, and its headers are cleaned. certificate is what the client
// has proved to hold, percent-encoded PEM; "" = none. w is where the exchange over which the question came is logged.
func (g *Gateway) Check(w http.ResponseWriter, r *http.Request, certificate string) Verdict {
	a := &verdictWriter{under: w, header: make(http.Header)}
	q := question{manner: asEnvoy, redirect: true, in: original(r, r.Method, r.Host, r.RequestURI), certificate: certificate, direct: true}
	before := slices.Collect(maps.Keys(r.Header))
	v, err := g.settle(a, &q)
	switch {
	case err != nil:
		g.refuse(a, q.in, q.manner, err)
	case v.location != "":
		sendTo(a, v.location)
	case !v.answered:
		return v.verdict(before, a.header)
	}
	delete(a.header, "Content-Length") // whoever sends the answer counts
	return Verdict{Status: a.status, Answer: a.header, Body: a.body}
}

// verdict is a yes. Unlike an answer over HTTP it can say everything that forward does to a request on its way.
func (v *settled) verdict(before []string, answer http.Header) Verdict {
	set := make(http.Header)
	v.tell(set)
	delete(set, "Cache-Control")
	set[headerForwardedHost] = v.req.site.forwardedHost
	h := v.req.in.Header
	gone := slices.DeleteFunc(before, func(name string) bool { return h[name] != nil || ofTheProxy(name) })
	if v.route != nil {
		if cookies := h["Cookie"]; cookies != nil && set["Cookie"] == nil && carriesOwn(h, v.route.withheldCookie) {
			set["Cookie"] = slices.Clone(cookies)
			if stripCookies(set, v.route.withheldCookie); set["Cookie"] == nil { // P028
				gone = append(gone, "Cookie")
			}
		}
		for _, name := range v.route.withheld {
			if h[name] != nil {
				gone = append(gone, name)
			}
		}
		if a := h[headerAuthorization]; a != nil && (!v.route.passAuthorization || connectionBound(a) || carriesTicket(a)) {
			gone = append(gone, headerAuthorization) // P027
		}
	}
	var remove []string
	for _, name := range gone {
		if set[name] == nil {
			remove = append(remove, strings.ToLower(name))
		}
	}
	slices.Sort(remove)
	return Verdict{Allowed: true, Status: http.StatusOK, Set: set, Remove: slices.Compact(remove), Answer: answer}
}

// ofTheProxy reports headers that a proxy writes itself by the time it asks; to remove them would undo that.
func ofTheProxy(name string) bool {
	switch name {
	case "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Client-Cert", "Te", "Expect", "Trailer":
		return true
	}
	return strings.HasPrefix(name, "X-Envoy-")
}

// verdictWriter keeps an answer.
type verdictWriter struct {
	under  http.ResponseWriter
	header http.Header
	status int
	body   []byte
}

func (a *verdictWriter) Header() http.Header { return a.header }

// Unwrap is for telemetry.From.
func (a *verdictWriter) Unwrap() http.ResponseWriter { return a.under }

func (a *verdictWriter) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
}

func (a *verdictWriter) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusServiceUnavailable) // nobody may answer yes by saying nothing
	a.body = append(a.body, p...)
	return len(p), nil
}
