package proxy

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/origin"
)

// translateLocation writes a redirect so that it means to the application what the upstream means: a place of that very
// upstream (by scheme, host, port and base path) becomes the path that the application reaches it by, anything else a
// complete URL. Nothing is followed here (P147). Applications follow by themselves, and the listener would give the next
// request the token of its target, so no upstream sends them to another one: a bare path is never left as it is, and what
// leads to the listener, or could, is left out.
func (v *trip) translateLocation(h http.Header) {
	lines := h["Location"]
	if len(lines) == 0 {
		return
	}
	if to, ok := v.redirect(lines); ok {
		h["Location"] = []string{to}
		return
	}
	delete(h, "Location")
}

// redirect is false where nobody can say what an upstream means, and where it means what it has no business with.
func (v *trip) redirect(lines []string) (location string, ok bool) {
	if len(lines) != 1 {
		return "", false // programs differ over which one counts
	}
	to, err := url.Parse(lines[0])
	switch {
	case err != nil:
		return "", false
	case to.Scheme != "" && to.Scheme != "http" && to.Scheme != "https":
		return lines[0], true
	case to.Opaque != "", to.Scheme != "" && to.Host == "":
		return "", false // "http:/x" is a path of the address that was called, to Python among others
	}
	asked := http.Request{URL: &url.URL{}}
	v.rewriteURL(&asked)
	asked.URL.Host = asked.Host
	absolute := to.Scheme != ""
	to = asked.URL.ResolveReference(to)
	path, here := v.seenFromHere(to)
	switch {
	case here:
		return path, true
	case v.egress.directory.leadsBack(to, v.target):
		return "", false
	case absolute:
		return lines[0], true
	}
	return to.String(), true
}

// seenFromHere is the path under which the application reaches what an URL of an answer names, if it is of this upstream.
func (v *trip) seenFromHere(to *url.URL) (path string, ok bool) {
	path = to.EscapedPath()
	if path == "" {
		path = "/"
	}
	encoded, decoded, refusal := parsePath(path)
	if refusal != "" && v.target.slash {
		encoded, decoded, refusal = parseSlashed(path)
	}
	there, err := origin.Parse(to.Scheme + "://" + to.Host)
	if err != nil || refusal != "" || to.User != nil || !liesIn(decoded, v.upstream.decodedBase) {
		return "", false
	}
	if here, err := origin.Parse(v.upstream.scheme + "://" + authorityOf(v.upstream)); err != nil || here != there {
		return "", false
	}
	if !v.call.whole {
		encoded = cutSegments(encoded, strings.Count(v.upstream.decodedBase, "/"))
	}
	rest := url.URL{RawQuery: to.RawQuery, ForceQuery: to.ForceQuery, Fragment: to.Fragment, RawFragment: to.RawFragment}
	return v.call.prefix + encoded + rest.String(), true
}

// leadsBack reports whether a URL may lead to the listener: to its own address, or to the name of another target than from,
// which only the configuration knows. A name that is its upstream's own as well is a place on the network, and an
// application that has Doorward for its proxy may be sent there. What a client would rewrite before it calls may lead
// anywhere: a port with zeros, letters that are normalised, an address in another notation ("127.1").
func (d *directory) leadsBack(to *url.URL, from *egressTarget) bool {
	o, err := origin.Parse(to.Scheme + "://" + to.Host)
	if err != nil || oddAddress(o.Host) {
		return true
	}
	at := d.origins[o]
	switch {
	case at == nil:
		return false
	case at.self:
		return true
	}
	return at.target != nil && at.target != from && !slices.ContainsFunc(at.target.upstreams, func(up upstream) bool { return originOf(&up).Host == o.Host })
}

// oddAddress reports whether a host is an IPv4 address that is not written as one: what ends in a number is no name
// (WHATWG URL §3.5).
func oddAddress(host string) bool {
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return false
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	return last != "" && '0' <= last[0] && last[0] <= '9'
}

// keepCookiesApart gives the cookies of a target that is called by path that path: an application that keeps cookies would
// send those of one upstream to every other, because all have the listener's host.
func (v *trip) keepCookiesApart(h http.Header) {
	if v.call.prefix == "" {
		return
	}
	for i, line := range h["Set-Cookie"] {
		pair, attributes, _ := strings.Cut(line, ";")
		kept := strings.Trim(pair, " \t")
		for attribute := range strings.SplitSeq(attributes, ";") {
			name, _, _ := strings.Cut(attribute, "=")
			switch name = strings.Trim(name, " \t"); {
			case name == "", strings.EqualFold(name, "Path"), strings.EqualFold(name, "Domain"):
			default:
				kept += "; " + strings.Trim(attribute, " \t")
			}
		}
		h["Set-Cookie"][i] = kept + "; Path=" + v.call.prefix
	}
}
