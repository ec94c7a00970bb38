package credentials

import (
	"encoding/base64"
	"strings"
	"testing"
)

func basic(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }

func TestBasicIsReadAsRFC7617Says(t *testing.T) {
	for name, c := range map[string]struct {
		line           string
		user, password string
		ok, valid      bool
	}{
		"the RFC's own":           {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame", true, true},
		"UTF-8":                   {"Basic dGVzdDoxMjPCow==", "test", "123£", true, true},
		"scheme in capitals":      {"BASIC QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame", true, true},
		"two spaces":              {"Basic  QWxhZGRpbjpvcGVuIHNlc2FtZQ== ", "Aladdin", "open sesame", true, true},
		"ROP-5 colons":            {basic("a:b:c::"), "a", "b:c::", true, true},
		"no padding":              {"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ", "Aladdin", "open sesame", true, true},
		"empty password":          {basic("a:"), "a", "", true, true},
		"empty user":              {basic(":b"), "", "b", true, true},
		"no colon":                {basic("alice"), "", "", true, false},
		"nothing":                 {"Basic", "", "", true, false},
		"no base64":               {"Basic a:b", "", "", true, false},
		"base64url":               {"Basic Pz8_Ojp-", "", "", true, false},
		"loose bits":              {"Basic QTpC" + "Qh==", "", "", true, false},
		"two values":              {basic("a:b") + ", " + basic("c:d"), "", "", true, false},
		"a line break":            {"Basic QTpC\nQTpC", "", "", true, false},
		"control characters":      {basic("a:b\x00c"), "", "", true, false},
		"a line break within":     {basic("a\r\n:b"), "", "", true, false},
		"DEL":                     {basic("a\x7f:b"), "", "", true, false},
		"too long":                {basic("a:" + strings.Repeat("b", MaxBasic)), "", "", true, false},
		"as long as may be":       {basic("a:" + strings.Repeat("b", MaxBasic-2)), "a", strings.Repeat("b", MaxBasic-2), true, true},
		"Bearer":                  {"Bearer QTpC", "", "", false, false},
		"a scheme that begins so": {"Basically QTpC", "", "", false, false},
		"empty":                   {"", "", "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			var buf [64]byte
			user, password, ok, valid := Basic(c.line, buf[:])
			if string(user) != c.user || string(password) != c.password || ok != c.ok || valid != c.valid {
				t.Errorf("%q %q %v %v", user, password, ok, valid)
			}
		})
	}
}

func TestATicketIsKnownInWhateverPlace(t *testing.T) {
	for line, want := range map[string]bool{
		"Bearer dw1.x": true, "bearer  dw1.": true, basic("any:dw1.x"): true, basic(":dw1.x"): true,
		basic("dw1.x:y"): true, basic("dw1.x:"): true, "Basic dw1.x": true, "Digest dw1.x": true, "dw1.x": true, "Token token=dw1.x": true,
		"Bearer eyJ, Bearer dw1.x": true, "Bearer a,dw1.x": true, `Digest username="dw1.x"`: true, "Bearer\tdw1.x": true, "Bearer\u00a0dw1.x": true, "Bearer edw1.e, dw1.x": true,
		"Bearer dwp.x": true, basic("any:dwp.x"): true, basic("dwp.x:"): true, "Bearer eyJ, Bearer dwp.x": true, "DPoP dwp.x": true, "Bearer dw dwp.x": true,
		"Bearer xdwp.": false, "Bearer dw": false, basic("dwp:dw1"): false,
		"Bearer eyJ": false, "": false, "Bearer": false, "Bearer xdw1.": false, "Bearer eyJdw1.eyJ-dw1.x": false, basic("xdw1.:ydw1."): false,
	} {
		if got := HoldsTicket(line); got != want {
			t.Errorf("%q: %v", line, got)
		}
	}
}

func TestTheTokenOfBearerAndDPoPIsReadWhateverTheCase(t *testing.T) {
	for line, want := range map[string]struct{ bearer, dpop string }{
		"Bearer a": {"a", ""}, "BEARER  a ": {"a", ""}, "bearer\ta": {"a", ""}, "DPoP a": {"", "a"}, "dpop a": {"", "a"}, "DPOP a b": {"", "a b"},
		"DPoPa": {}, "Bearera": {}, "Basic a": {}, "": {},
	} {
		bearer, _ := Bearer(line)
		dpop, _ := DPoP(line)
		if bearer != want.bearer || dpop != want.dpop {
			t.Errorf("%q: %q %q", line, bearer, dpop)
		}
	}
}

func TestATokenHasNoCharactersThatRFC6750DoesNotGiveIt(t *testing.T) {
	for s, want := range map[string]bool{
		"eyJ.eyJ.x-_": true, "a+/==": true, "~": true,
		"": false, "a b": false, "a,b": false, "a\r\nX: y": false, "é": false, "a\"": false, "a;b": false,
	} {
		if IsToken(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	line := basic("alice:correct horse battery staple")
	if n := testing.AllocsPerRun(100, func() {
		if HoldsTicket(line) {
			t.Error("no ticket")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzBasic(f *testing.F) {
	for _, s := range []string{"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "basic QTpC", "Basic", "Basic \t=", "Bearer x", "Basic Og", "Basic Og=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		var buf [32]byte
		user, password, ok, valid := Basic(line, buf[:])
		if valid && !ok || !valid && (user != nil || password != nil) {
			t.Errorf("%q: %q %q %v %v", line, user, password, ok, valid)
		}
		if !valid {
			return
		}
		// What was read is what whoever writes it down again means.
		again, secret, _, valid := Basic(basic(string(user)+":"+string(password)), nil)
		if !valid || string(again) != string(user) || string(secret) != string(password) || strings.ContainsRune(string(user), ':') {
			t.Errorf("%q: %q %q", line, again, secret)
		}
	})
}

func TestATokenIsMadeOfWhatRFC6750Says(t *testing.T) {
	const all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/="
	for c := range 256 {
		if got, want := IsToken("a"+string([]byte{byte(c)})), strings.IndexByte(all, byte(c)) >= 0; got != want {
			t.Errorf("byte %#x: %v", c, got)
		}
	}
	if IsToken("") {
		t.Error("nothing is no token")
	}
}

func BenchmarkIsToken(b *testing.B) {
	token := strings.Repeat("eyJhbGciOi.", 130)
	for b.Loop() {
		if !IsToken(token) {
			b.Fatal("refused")
		}
	}
}

func TestWhatDoorwardItselfGivesOutIsKnownByItsPrefix(t *testing.T) {
	for _, s := range []string{"dw1.x", "dwp.x", "dwk.x"} {
		if !IsTicket(s) || !HoldsTicket("Bearer "+s) || !HoldsTicket(basic("u:"+s)) || !HoldsTicket(basic(s+":")) || !HoldsTicket("Foo a="+s) {
			t.Errorf("%s is not known", s)
		}
		if HoldsTicket("Bearer x" + s) {
			t.Errorf("a token that holds %s is taken for one", s)
		}
	}
	for _, s := range []string{"dw2.x", "dwp", "", "Dwk.x"} {
		if IsTicket(s) {
			t.Errorf("%q is taken for one of ours", s)
		}
	}
}
