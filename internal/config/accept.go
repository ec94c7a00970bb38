package config

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/flows"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy"
)

// accept reads by what a caller of a route may prove who they are; nil is the default.
func (t table) accept() (accepted []string) {
	v := t.value("accept")
	if v == nil {
		return nil
	}
	if len(v.items) == 0 {
		t.wrong("accept", "the list is empty, so nobody could pass; leave it out for sessions and tickets")
	}
	words, soon := []string{"session", "token", "basic", "bearer", "key"}, []string{"mtls"}
	t.each("accept", func(item string) error {
		switch {
		case slices.Contains(soon, item):
			return fmt.Errorf("%q: this version of Doorward does not have it yet; there is %s", item, names(words))
		case !slices.Contains(words, item):
			return fmt.Errorf("%q is none of %s%s", item, names(words), didYouMean(item, words))
		case slices.Contains(accepted, item):
			return fmt.Errorf("%q stands there twice", item)
		}
		accepted = append(accepted, item)
		return nil
	})
	return accepted
}

// checkAccept holds what a route accepts against its logins.
func (c *composer) checkAccept(t table, rt *proxy.Route, caller Caller) {
	if rt.Public {
		return
	}
	var passwords, others int
	for _, l := range c.c.logins {
		switch {
		case !slices.Contains(rt.Logins, l.Name):
		case l.Flow == flowPassword:
			passwords++
			if l.Form {
				others++
			}
		default:
			others++
			c.checkFormPost(t, rt, l)
			if l.Flow == flowImplicit && l.ResponseType == "id_token" && rt.Credential == "session" {
				t.wrong("credential", `"session" sends the access token upstream, and login %q gets none; give it response_type = "id_token token", or take credential = "id_token"`, l.Name)
			}
			if l.Hint == "id_token_hint" && len(rt.Logins) == 1 {
				t.l.warn("%s.login: %q asks whoever is signed in already (id_token_hint), and no other login of this route signs anybody in first", t.path, l.Name)
			}
		}
	}
	c.checkCredential(t, rt)
	basic := slices.Contains(rt.Accept, "basic") && caller.Basic == basicPassword
	switch {
	case len(c.l.problems) > 0 && len(rt.Logins) == 0:
		// the logins are what is wrong
	case basic && passwords != 1:
		t.wrong("accept", `"basic" needs exactly one login of the flow password in login, to try the password by; there are %d`, passwords)
	case !basic && passwords > 0 && others == 0 && (rt.Accept == nil || slices.Contains(rt.Accept, "session")):
		t.wrong("login", `nobody could sign in: a password login takes HTTP Basic where accept has "basic", and shows a page with form = true`)
	}
	if slices.Contains(rt.Accept, "token") && others == 0 && len(rt.Logins) > 0 {
		t.l.warn(`%s.accept: "token" has no effect: a ticket counts where its login is listed, and none of this route's makes any; add the one that "doorward login" uses`, t.path)
	}
	if slices.Contains(rt.Accept, "token") && c.c.Store == "cookie" {
		t.wrong("accept", `"token": with sessions.store = "cookie" there are no tickets; another store has them`)
	}
}

// checkFormPost finds a host where the cookie of a form_post login could not come back: browsers take
// SameSite=None with Secure only.
func (c *composer) checkFormPost(t table, rt *proxy.Route, l flows.Login) {
	if l.ResponseMode != "form_post" {
		return
	}
	hosts := rt.Hosts
	if len(hosts) == 0 {
		hosts = c.c.origins
	}
	if slices.ContainsFunc(hosts, func(o origin.Origin) bool { return !o.Secure() && !o.Loopback() }) {
		t.wrong("login", `login %q comes back by form_post, and over plain http no browser sends its cookie with that; give it response_mode = "fragment"`, l.Name)
	}
}

// readApprove reads which requests need a consent of their own.
func (c *composer) readApprove(t table) *proxy.Approve {
	a := t.table("approve")
	if a.node == nil {
		return nil
	}
	approve := &proxy.Approve{
		Login: a.text("login"), Methods: a.list("methods"), BindingMessage: a.filled("binding_message", ""),
		MaxBody: a.size("max_body", 64<<10, 1, 16<<20), Expires: a.duration("expires", 2*time.Minute, 10*time.Second, 10*time.Minute),
	}
	if approve.Methods == nil {
		approve.Methods = []string{"POST", "PUT", "PATCH", "DELETE"}
	}
	if a.given("methods") && len(approve.Methods) == 0 && a.value("methods") != nil {
		a.wrong("methods", "the list is empty, so nothing would need an approval; leave it out for POST, PUT, PATCH and DELETE")
		approve.Methods = []string{"POST"}
	}
	if !a.given("binding_message") {
		a.wrong("binding_message", `it is missing: a CEL expression of what people are asked to approve, such as '"PAY-" + form.amount'`)
		approve.BindingMessage = `"reported"`
	}
	var possible []string
	for _, l := range c.c.logins {
		if l.Flow == flowCIBA {
			possible = append(possible, l.Name)
		}
	}
	switch {
	case a.given("login") && a.value("login") == nil:
	case approve.Login == "" && len(possible) == 1:
		approve.Login = possible[0]
	case !slices.Contains(possible, approve.Login):
		a.wrong("login", "%q is no login of the flow ciba%s", approve.Login, didYouMean(approve.Login, possible))
	}
	for _, l := range c.c.logins {
		switch {
		case l.Name != approve.Login:
		case l.Hint == "login_hint_token":
			a.wrong("login", "%q needs a login_hint_token, which a request does not bring", l.Name)
		case l.UserCode:
			a.wrong("login", "%q asks people for a user code, and at a request there is no form for that", l.Name)
		}
	}
	return approve
}

// size reads a number of bytes with its unit.
func (t table) size(key string, otherwise, least, most int64) int64 {
	v := t.value(key)
	if v == nil {
		return otherwise
	}
	units := []struct {
		name string
		of   float64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}
	for _, u := range units {
		number, ok := strings.CutSuffix(v.text, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
		switch size := n * u.of; {
		case err != nil || math.IsNaN(n):
			t.wrong(key, "%s is no size; write it as \"64KiB\" or \"10MB\"", v.shown())
		case size < float64(least) || size > float64(most):
			t.wrong(key, "%s is not possible here; from %d to %d bytes are", v.shown(), least, most)
		default:
			return int64(size)
		}
		return otherwise
	}
	t.wrong(key, "%s has no unit; write it as \"64KiB\" or \"10MB\"", v.shown())
	return otherwise
}
