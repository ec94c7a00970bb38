package proxy

import (
	"net/http"
	"strings"
	"testing"
)

func ours(name string) bool {
	for _, base := range []string{"__Host-doorward", "__Secure-doorward", "doorward"} {
		if name == base || strings.HasPrefix(name, base+".") || strings.HasPrefix(name, base+"-") {
			return true
		}
	}
	return false
}

func TestP028OwnCookiesAreTakenOutAndOthersKeepTheirBytes(t *testing.T) {
	for in, want := range map[string]string{
		"a=b":                                    "a=b",
		"__Host-doorward=s":                      "",
		"__Host-doorward=s; a=b":                 "a=b",
		"a=b; __Host-doorward=s":                 "a=b",
		"a=b; __Host-doorward=s; c=d":            "a=b; c=d",
		"a=b;__Host-doorward=s;c=d":              "a=b; c=d",
		"__Host-doorward=1; __Host-doorward=2":   "",
		"__Host-doorward.1=x; __Host-doorward.2": "",
		"__Host-doorward-login.abc=x; k=v":       "k=v",
		" __Host-doorward = s ; a=b":             "a=b",
		"\t__Host-doorward\t=s":                  "",
		"=__Host-doorward=s; a=b":                "a=b",
		"a=\"x;y\"; q=%20":                       "a=\"x;y\"; q=%20",
		"__Host-doorwardian=x; a=b":              "__Host-doorwardian=x; a=b",
		"x=__Host-doorward=s":                    "x=__Host-doorward=s",
		"; ;a=b":                                 "; ;a=b",
		"doorward":                               "",
		"":                                       "",
	} {
		h := http.Header{"Cookie": {in}}
		stripCookies(h, ours)
		if got := strings.Join(h["Cookie"], "|"); got != want {
			t.Errorf("%q becomes %q, not %q", in, got, want)
		}
	}
	h := http.Header{"Cookie": {"__Host-doorward=s", "a=b", "c=d; doorward.1=x"}}
	stripCookies(h, ours)
	if got := strings.Join(h["Cookie"], "|"); got != "a=b|c=d" {
		t.Errorf("several lines become %q", got)
	}
}

func TestP028AnUpstreamCannotSetOurCookies(t *testing.T) {
	h := http.Header{"Set-Cookie": {
		"a=b; Path=/", "__Host-doorward=evil; Path=/; Secure", " __Host-doorward =x", "=__Host-doorward=nameless", "doorward-login.1=; Max-Age=0", "__Host-doorward", "k=__Host-doorward",
	}}
	stripSetCookies(h, ours)
	if got := strings.Join(h["Set-Cookie"], "|"); got != "a=b; Path=/|k=__Host-doorward" {
		t.Errorf("what is left is %q", got)
	}
	stripSetCookies(h, func(string) bool { return true })
	if _, ok := h["Set-Cookie"]; ok {
		t.Error("an empty header is left")
	}
}

// FuzzStripCookies: no server finds one of our cookies in what is left, and all others.
func FuzzStripCookies(f *testing.F) {
	for _, s := range []string{"__Host-doorward=s; a=b", "a=b", "=doorward=x", ";;", "doorward.1=\"a;doorward=b\"", " \t= doorward =x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return // net/http lets no such value in
		}
		before := parsedCookies(line)
		h := http.Header{"Cookie": {line}}
		stripCookies(h, ours)
		after := parsedCookies(strings.Join(h["Cookie"], "; "))
		var others []string
		for _, c := range before {
			if name, _, _ := strings.Cut(c, "="); !ours(name) {
				others = append(others, c)
			}
		}
		for _, c := range after {
			if name, _, _ := strings.Cut(c, "="); ours(name) {
				t.Fatalf("%q leaves %q", line, c)
			}
		}
		if strings.Join(after, ";") != strings.Join(others, ";") {
			t.Fatalf("%q leaves %q, not %q", line, after, others)
		}
		if got, want := pairs(h["Cookie"], false), pairs([]string{line}, true); got != want {
			t.Fatalf("%q leaves %q, not %q", line, got, want)
		}
	})
}

// pairs are the bytes of each cookie that is not ours, whether or not a server could parse it.
func pairs(lines []string, dropOurs bool) string {
	var all []string
	for pair := range strings.SplitSeq(strings.Join(lines, ";"), ";") {
		if pair = strings.Trim(pair, " \t"); pair != "" && !(dropOurs && ours(cookieName(pair))) {
			all = append(all, pair)
		}
	}
	return strings.Join(all, ";")
}

func parsedCookies(line string) (all []string) {
	r := http.Request{Header: http.Header{"Cookie": {line}}}
	for _, c := range r.Cookies() {
		all = append(all, c.Name+"="+c.Value)
	}
	return all
}
