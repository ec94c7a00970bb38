package flows

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/origin"
)

// callback is where one provider sends browsers back to: the same path on every host,
// or, with host, one URI for all hosts.
type callback struct {
	path string
	host origin.Origin // zero = the host on which the login began
}

// addCallbacks gives every provider that has logins a path of its own, so that an answer
// of one can never be taken for another's, even if it doesn't send iss (ISS-4, RFC 9700 §4.4.2).
func (f *Flows) addCallbacks(overrides map[string]Callback) error {
	f.callbacks = make(map[string]callback)
	var providers []string
	for _, l := range f.logins {
		if !slices.Contains(providers, l.provider) {
			providers = append(providers, l.provider)
		}
	}
	taken := make(map[string]string)
	for _, e := range f.endpoints() {
		taken[e.path] = "an endpoint of Doorward's own"
	}
	made := make(map[string]callback)
	for _, p := range providers {
		over := overrides[p]
		c := callback{path: f.prefix + "/callback", host: over.Host}
		if len(providers) > 1 {
			c.path += "/" + p
		}
		if over.Path != "" {
			c.path = over.Path
		}
		if err := cleanPath(c.path); err != nil {
			return fmt.Errorf("provider.%s: callback: %q: %w", p, c.path, err)
		}
		if who, ok := taken[c.path]; ok || strings.HasPrefix(c.path, f.prefix+"/static/") {
			if who == "" {
				who = "an endpoint of Doorward's own"
			}
			return fmt.Errorf("provider.%s: callback: %q is already %s: each provider needs a path of its own", p, c.path, who)
		}
		if known, ok := f.deps.Origins.Lookup(c.host.Authority()); !c.host.IsZero() && (!ok || known != c.host) {
			return fmt.Errorf("provider.%s: callback_host: %s is not among the hosts that are served", p, c.host)
		}
		taken[c.path] = "the callback of provider " + p
		made[p] = c
	}
	f.callbacks = made
	return nil
}

// cleanPath refuses what could not be an exact path of ours.
func cleanPath(p string) error {
	if err := checkPath(p); err != nil {
		return err
	}
	if strings.ContainsAny(p, "%{}?#") || strings.HasSuffix(p, "/") {
		return errors.New("a plain path is wanted, such as \"/oauth2/callback\"")
	}
	return nil
}

// redirectURI returns the redirect URI of a login at provider that begins on here. It
// comes from the configuration alone, never from a header of the request (AUT-13, P048).
func (f *Flows) redirectURI(provider string, here origin.Origin) string {
	c := f.callbacks[provider]
	if !c.host.IsZero() {
		here = c.host
	}
	return here.String() + c.path
}

// RedirectURIs lists every redirect URI to register at a provider (for check): none if no login
// goes through its pages.
func (f *Flows) RedirectURIs(provider string) []string {
	if !slices.ContainsFunc(f.logins, func(l *login) bool { return l.provider == provider && l.flow != nil }) {
		return nil
	}
	var uris []string
	for _, o := range f.deps.Origins.All() {
		if u := f.redirectURI(provider, o); !slices.Contains(uris, u) {
			uris = append(uris, u)
		}
	}
	return uris
}

// PostLogoutURIs lists every post-logout redirect URI to register at a provider (for check).
func (f *Flows) PostLogoutURIs(provider string) []string {
	if _, ok := f.callbacks[provider]; !ok {
		return nil
	}
	var uris []string
	for _, o := range f.deps.Origins.All() {
		uris = append(uris, f.postLogoutURI(o))
	}
	return uris
}

// NotificationURIs lists where a provider may send pings and pushes of CIBA (for check): one of them is
// to be registered there, none if no login asks for that.
func (f *Flows) NotificationURIs(provider string) []string {
	if !slices.ContainsFunc(f.logins, func(l *login) bool { return l.provider == provider && l.ciba != nil && l.ciba.delivery != "" }) {
		return nil
	}
	var uris []string
	for _, o := range f.deps.Origins.All() {
		uris = append(uris, o.String()+f.prefix+"/ciba/notify")
	}
	return uris
}

func (f *Flows) postLogoutURI(here origin.Origin) string {
	return here.String() + f.prefix + signedOutPath
}

// CallbackPaths lists the exact paths at which providers send browsers back. Some may lie
// outside the prefix (provider.X.callback); whoever routes requests must hand those over too.
func (f *Flows) CallbackPaths() []string {
	var paths []string
	for _, c := range f.callbacks {
		paths = append(paths, c.path)
	}
	slices.Sort(paths)
	return paths
}
