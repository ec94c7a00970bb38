package testnet

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// fetchMetadata sets Accept and Sec-Fetch-* (Fetch Metadata Request Headers §2).
func fetchMetadata(h http.Header, r request, chain []*url.URL) {
	if r.script {
		h.Set("Accept", "*/*")
	} else {
		h.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8")
		h.Set("Upgrade-Insecure-Requests", "1")
	}
	if !trustworthy(r.url) { // browsers send them to nobody else
		return
	}
	h.Set("Sec-Fetch-Site", fetchSite(r.initiator, chain))
	if r.script {
		h.Set("Sec-Fetch-Mode", "cors")
		h.Set("Sec-Fetch-Dest", "empty")
		return
	}
	h.Set("Sec-Fetch-Mode", "navigate")
	h.Set("Sec-Fetch-Dest", "document")
	if r.clicked || r.initiator == nil {
		h.Set("Sec-Fetch-User", "?1")
	}
}

// fetchSite judges every URL of the redirect chain, so that a detour through another site shows.
func fetchSite(initiator *url.URL, chain []*url.URL) string {
	if initiator == nil {
		return "none"
	}
	value := "same-origin"
	for _, u := range chain {
		switch {
		case originOf(u) == originOf(initiator):
		case site(u) == site(initiator):
			value = "same-site"
		default:
			return "cross-site"
		}
	}
	return value
}

// originAndReferer applies the initiator's Referrer-Policy. Note that a form POST from a page
// with no-referrer carries Origin: null, even to its own origin (Fetch §3.2, "append a request Origin header").
func originAndReferer(h http.Header, r request, chain []*url.URL) {
	if r.initiator == nil {
		return
	}
	same := originOf(r.initiator) == originOf(r.url)
	if r.method != http.MethodGet && r.method != http.MethodHead || r.script && !same {
		h.Set("Origin", originOf(r.initiator))
		if !r.script && strings.Contains(r.policy, "no-referrer") || tainted(r.initiator, chain) {
			h.Set("Origin", "null")
		}
	}
	if strings.Contains(r.policy, "no-referrer") || r.initiator.Scheme == "https" && r.url.Scheme == "http" {
		return
	}
	if same {
		page := *r.initiator
		page.Fragment, page.RawFragment, page.User = "", "", nil
		h.Set("Referer", page.String())
		return
	}
	h.Set("Referer", originOf(r.initiator)+"/")
}

// tainted reports a redirect from one foreign origin to another, which makes the origin opaque.
func tainted(initiator *url.URL, chain []*url.URL) bool {
	for i := 1; i < len(chain); i++ {
		if originOf(chain[i-1]) != originOf(initiator) && originOf(chain[i]) != originOf(chain[i-1]) {
			return true
		}
	}
	return false
}

func originOf(u *url.URL) string { return u.Scheme + "://" + strings.ToLower(u.Host) }

// site is the scheme and the registrable domain: browsers count http and https as two sites.
func site(u *url.URL) string {
	host := strings.ToLower(u.Hostname())
	if net.ParseIP(host) != nil {
		return u.Scheme + "://" + host
	}
	if domain, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		host = domain
	}
	return u.Scheme + "://" + host
}

func crossSite(initiator, target *url.URL) bool {
	return initiator != nil && site(initiator) != site(target)
}

// trustworthy is the standard's "potentially trustworthy URL": https, or http to this machine.
func trustworthy(u *url.URL) bool { return u.Scheme == "https" || loopback(u.Hostname()) }

func loopback(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
