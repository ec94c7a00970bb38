package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/doorward/doorward/flows/credential"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/proxy"
)

func printExplanation(out io.Writer, e *proxy.Explanation, who *identity.Identity) {
	columns(out, func(w io.Writer) {
		line := func(name, format string, args ...any) {
			fmt.Fprintf(w, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
		}
		switch {
		case e.Own:
			line("route", "none: this is an endpoint of Doorward's own")
			return
		case e.Route != "":
			line("route", "%s", e.Route)
		}
		if e.AskedOnly {
			line("for", "other proxies, which ask about it; a request to Doorward itself gets 404 (no_route)")
		}
		if e.Answer != "" {
			printRefusal(line, e, who)
			return
		}
		line("caller", "%s", callerWords(who))
		switch {
		case e.Allowed:
			line("rule", "%s: may pass", e.Rule)
		case who == nil && e.Begins:
			line("rule", "nobody is signed in: a browser is sent to sign in, a program gets 401")
			return
		case who == nil:
			line("rule", "nobody is signed in: 401")
			return
		default:
			line("rule", "refused: %s", e.Rule)
			return
		}
		printPassing(line, e, who)
	})
}

// printRefusal says what answer a request gets that no rule could let pass, or in spite of one that does.
func printRefusal(line func(name, format string, args ...any), e *proxy.Explanation, who *identity.Identity) {
	if e.Rule != "" {
		line("caller", "%s", callerWords(who))
	}
	if e.Allowed {
		line("rule", "%s: would let it pass", e.Rule)
	}
	words := e.Answer
	if e.Detail != "" {
		words += ": " + e.Detail
	}
	line("answer", "%s", words)
}

// printPassing says what becomes of a request that may pass.
func printPassing(line func(name, format string, args ...any), e *proxy.Explanation, who *identity.Identity) {
	if len(e.Limits) > 0 {
		line("limits", "%s", strings.Join(e.Limits, ", "))
	}
	if e.Approve {
		line("approval", "the person is asked on their phone first")
	}
	if e.Itself != "" {
		line("answer", "%s", e.Itself)
		return
	}
	switch {
	case len(e.Others) > 0:
		line("upstream", "one of %s", e.Target)
		for _, other := range e.Others {
			line("", "or %s", other)
		}
	case e.Target != "":
		line("upstream", "%s", e.Target)
	}
	if e.Host != "" {
		line("host", "%s", e.Host)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Headers)) {
		line("header", "%s: %s", name, strings.Join(e.Headers[name], ", "))
	}
	line("credential", "%s", credentialWords(e, who))
}

func callerWords(who *identity.Identity) string {
	if who == nil {
		return "nobody"
	}
	words := []string{who.Subject + " of " + who.Issuer, "a person"}
	if who.Machine {
		words[1] = "a machine"
	}
	for _, f := range []struct {
		name   string
		values []string
	}{{"client", []string{who.Client}}, {"e-mail", []string{who.Email}}, {"groups", who.Groups}, {"scopes", who.Scopes}} {
		if text := strings.TrimSpace(strings.Join(f.values, " ")); text != "" {
			words = append(words, f.name+" "+text)
		}
	}
	return strings.Join(words, ", ")
}

func printSteps(out io.Writer, steps []credential.Step, where string) {
	for i, step := range steps {
		printStep(out, i+1, step)
	}
	fmt.Fprintf(out, "    and it goes upstream as %s\n", where)
}

// credentialWords says what goes upstream, as far as one line can.
func credentialWords(e *proxy.Explanation, who *identity.Identity) string {
	switch {
	case e.Credential == "session":
		return "session: the caller's own access token, as Authorization: Bearer"
	case e.Credential == "id_token":
		return "id_token: the person's ID token, as Authorization: Bearer"
	case e.Source == nil:
		return "none"
	case who == nil && e.Source.Personal():
		return e.Credential + ": nobody is signed in, so none is sent"
	}
	return e.Credential
}

func printStep(out io.Writer, n int, s credential.Step) {
	if s.Request == nil {
		fmt.Fprintf(out, "    %d. %s: %s\n", n, s.Credential, s.Note)
		return
	}
	at, auth := s.Request.URL, s.Request.ClientAuth
	if at == "" {
		at = "the token endpoint of provider " + s.Provider + " (named by its discovery document)"
	}
	if auth == "" {
		auth = "client authentication as discovery says"
	}
	fmt.Fprintf(out, "    %d. %s: POST %s, %s\n", n, s.Credential, at, auth)
	for _, name := range slices.Sorted(maps.Keys(s.Request.Form)) {
		for _, v := range s.Request.Form[name] {
			fmt.Fprintf(out, "         %s=%s\n", name, v)
		}
	}
}
