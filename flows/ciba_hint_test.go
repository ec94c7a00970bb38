package flows

import (
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

func TestP169HintsAreShortAndPrintable(t *testing.T) {
	w := newWorld(t, withCIBA(Login{}))
	b := w.net.Browser()
	for name, hint := range map[string]string{
		"none": "", "spaces": "  ", "a line end": "alice\nbinding_message: x", "a control character": "alice\x00", "10 kB": strings.Repeat("a", 10<<10),
		"turned around": "alice\u202egnp", "no UTF-8": "alice\xff", "invisible": "ali\u200bce",
	} {
		if page := b.Fetch(t, "", http.MethodPost, app+"/oauth2/ciba", byHint(hint)); page.Status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", name, page.Status, page.Body)
		}
		page := b.Post(t, "", app+"/oauth2/ciba", byHint(hint))
		if hint = strings.TrimSpace(hint); hint != "" && strings.Contains(page.Body, hint) || len(page.Forms()) == 0 {
			t.Errorf("%s: no form again, or with it: %d", name, page.Status)
		}
	}
	if n := w.idp.Count(idp.CIBA); n != 0 {
		t.Errorf("the provider was asked %d times", n)
	}
	for _, hint := range []string{`<script>alert(1)</script>`, `{"login_hint":"bob"}`, `alice&login_hint=bob`, `" onfocus="alert(1)`} {
		b := w.net.Browser()
		page := b.Post(t, "", app+"/oauth2/ciba", byHint(hint))
		if got := w.idp.Last(idp.CIBA).Form["login_hint"]; len(got) != 1 || got[0] != hint {
			t.Errorf("sent: %q", got)
		}
		again := w.net.Browser().Post(t, "", app+"/oauth2/ciba", byHint(hint)) // is shown to be filled in again
		for _, p := range []*testnet.Page{page, again} {
			if strings.Contains(p.Body, "<script>alert") || strings.Contains(p.Body, `" onfocus="`) {
				t.Errorf("%q is not escaped", hint)
			}
		}
	}
}

func TestBindingMessagesMustTellRequestsApart(t *testing.T) {
	for text, ok := range map[string]bool{
		"": true, "auto": true, "APP-{code}": true, "Sign in: {code}": true,
		"always the same": false, "{code} {code}": false, "{code}\n": false, "Größe {code}": false, strings.Repeat("x", 50) + "{code}": false,
	} {
		if _, err := newCIBA(nil, Login{BindingMessage: text}); (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
	}
	seen := map[string]bool{}
	for range 500 {
		seen[(&ciba{message: codePlace}).bindingMessage()] = true
	}
	if len(seen) < 495 {
		t.Errorf("%d different codes of 500", len(seen))
	}
}

func FuzzHint(f *testing.F) {
	for _, seed := range []string{"alice", " ALICE ", "a\nb", "ａｌｉｃｅ", "\u202e", "İ", "ß", "\xff", "a\u200bb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, hint string) {
		if (&ciba{hint: hintLogin}).checkHint(hint) != "" {
			return
		}
		if strings.ContainsAny(hint, "\r\n\x00\t\u202e\u2066") || len(hint) > maxHint || !utf8.ValidString(hint) {
			t.Errorf("%q is taken", hint)
		}
		if c := canonicalHint(hint); canonicalHint(" "+strings.ToUpper(c)+" ") != canonicalHint(strings.ToUpper(c)) || canonicalHint(c+" ") != canonicalHint(c) {
			t.Errorf("%q: %q", hint, c)
		}
	})
}

func TestALinkFillsInWhoIsAskedOnlyIfTheConfigurationLetsIt(t *testing.T) {
	for _, pass := range [][]string{nil, {"login_hint"}} {
		w := newWorld(t, withCIBA(Login{PassParams: pass}))
		page := w.net.Browser().Visit(t, "https://elsewhere.example/", app+"/oauth2/ciba?login=phone&login_hint=alice&rd=/x")
		if filled := strings.Contains(page.Body, `value="alice"`); filled != (pass != nil) || w.idp.Count(idp.CIBA) != 0 {
			t.Errorf("pass %v: filled in %v, %d questions", pass, filled, w.idp.Count(idp.CIBA))
		}
	}
}
