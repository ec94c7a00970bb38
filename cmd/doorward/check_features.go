package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/config"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy"
)

// features says of a route what it does besides, a line for each subject. Only what is set. signs is what assertions says.
func features(rt proxy.Route, signs string) (lines []string) {
	for _, f := range []struct {
		subject string
		words   []string
	}{
		{"closed", maintenanceWords(rt.Maintenance)},
		{"limits", limitWords(rt.Limits)},
		{"upstreams", append(balanceWords(rt.Balance), connectionWords(rt.Balance)...)},
		{"health", healthWords(rt.Balance)},
		{"timeouts", timeoutWords(rt.Balance.Timeouts)},
		{"headers", identityWords(rt, signs)},
		{"browsers", browserWords(rt)},
		{"answers", responseWords(rt.Response)},
		{"decision", decisionWords(rt.Hook)},
	} {
		if len(f.words) > 0 {
			lines = append(lines, f.subject+": "+strings.Join(f.words, "; "))
		}
	}
	return lines
}

func maintenanceWords(m *proxy.Maintenance) []string {
	if m == nil {
		return nil
	}
	words := "now"
	switch {
	case !m.On && m.File == "":
		return []string{"never, as maintenance is off"}
	case !m.On:
		words = "as long as " + m.File + " is there"
	}
	if len(m.Except) > 0 {
		words += ", but not from " + strings.Trim(fmt.Sprint(m.Except), "[]")
	}
	return []string{words}
}

func limitWords(l proxy.Limits) (all []string) {
	if l.PerUser != (proxy.Rate{}) {
		all = append(all, fmt.Sprintf("%s per person", l.PerUser))
	}
	if l.PerAddress != (proxy.Rate{}) {
		all = append(all, fmt.Sprintf("%s per address", l.PerAddress))
	}
	if l.Concurrent > 0 {
		all = append(all, fmt.Sprintf("%d at a time", l.Concurrent))
	}
	if l.MaxBody > 0 {
		all = append(all, fmt.Sprintf("bodies of up to %d bytes", l.MaxBody))
	}
	return all
}

// identityWords say how the upstream learns who is calling, where that is not the default.
func identityWords(rt proxy.Route, signs string) (all []string) {
	if p := rt.Headers.Profile; p != "oauth2-proxy" && p != "none" && !rt.Public { // terms says "none"
		all = append(all, "profile "+p)
	}
	if rt.Headers.Encoding != "" {
		all = append(all, "values in "+rt.Headers.Encoding)
	}
	if signs != "" {
		all = append(all, signs)
	}
	return all
}

// assertions says by their names what the signed assertions of routes are, at a host.
func assertions(c *config.Config, o origin.Origin) map[string]string {
	words := make(map[string]string)
	for _, a := range c.Assertions() {
		words[a.Name] = fmt.Sprintf("signs who is calling into %s for %s; keys at %s%s/jwks.json", a.Header, strings.Join(a.Audience, " and "), o, c.Listen.Prefix)
	}
	return words
}

func browserWords(rt proxy.Route) (all []string) {
	if x := rt.CORS; x != nil {
		from := "any page"
		if !x.AnyOrigin {
			list := make([]string, 0, len(x.Origins))
			for _, o := range x.Origins {
				list = append(list, o.String())
			}
			from = "pages of " + strings.Join(list, " and ")
		}
		words := from + " may read its answers"
		if len(x.Methods) > 0 {
			words += " and send " + strings.Join(x.Methods, " ")
		}
		if x.Credentials {
			words += ", with cookies"
		}
		all = append(all, words)
	}
	if len(rt.WebSocketOrigins) > 0 {
		all = append(all, "pages of "+strings.Trim(fmt.Sprint(rt.WebSocketOrigins), "[]")+" may open WebSockets")
	}
	if rt.Public {
		return all
	}
	switch rt.Unauthenticated {
	case "401":
		all = append(all, "nobody is sent to sign in: 401")
	case "login":
		all = append(all, "whatever may be a navigation begins a login")
	}
	if rt.KeepPost == 0 {
		all = append(all, "no form is kept over a login")
	}
	if rt.KeepFragment {
		all = append(all, "the fragment is kept over a login")
	}
	return all
}

// responseWords name headers and not their values, which may be long.
func responseWords(r proxy.Response) (all []string) {
	for _, part := range []struct {
		does  string
		names []string
	}{
		{"sets", slices.Sorted(maps.Keys(r.Set))}, {"sets unless it is there", slices.Sorted(maps.Keys(r.Default))}, {"removes", r.Remove}, {"compresses by", r.Compress},
	} {
		if len(part.names) > 0 {
			all = append(all, part.does+" "+strings.Join(part.names, ", "))
		}
	}
	return all
}

func decisionWords(h *proxy.Hook) []string {
	if h == nil { // terms names the URL
		return nil
	}
	all := []string{"may take " + short(h.Timeout)}
	if h.Cache > 0 {
		all = append(all, "an answer is kept for "+short(h.Cache))
	}
	if len(h.Headers) > 0 {
		all = append(all, "is told "+strings.Join(h.Headers, ", "))
	}
	return all
}
