package personal

import (
	"encoding/json"
	"hash/crc32"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func FuzzParseToken(f *testing.F) {
	f.Add(token{}.text())
	f.Add(token{1, 2, 3}.text())
	f.Add("dwp.")
	f.Add(strings.Repeat("A", tokenLength))
	f.Fuzz(func(t *testing.T, s string) {
		tok, ok := parseToken(s)
		if again, same := parseToken([]byte(s)); same != ok || again != tok {
			t.Fatalf("%q is read in two ways", s)
		}
		if ok && tok.checksum() != crc32.ChecksumIEEE(append([]byte(tokenPrefix), tok[:]...)) {
			t.Fatal("that is no CRC-32")
		}
		if ok && tok.text() != s { // one spelling for each token
			t.Fatalf("%q and %q are one token", s, tok.text())
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, rec := range []any{
		&tokenRecord{Version: 1, Issuer: "https://sso.test", Subject: "a", Hosts: []string{"https://git.test"}, Scopes: []string{"x"}, Owner: strings.Repeat("0", 32), Created: 1, Ends: 2},
		&ownerRecord{Version: 1, Issuer: "https://sso.test", Subject: "a", Groups: []string{"g"}, Claims: json.RawMessage(`{"a":1}`), AsOf: 1, Until: 2},
		&listedRecord{Version: 1, Issuer: "https://sso.test", Subject: "a", Name: "n", Hosts: []string{"https://git.test"}, Created: 1, Ends: 2},
	} {
		b, err := encode(rec)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"v":2}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		tok, isToken := decode[tokenRecord](b)
		owner, isOwner := decode[ownerRecord](b)
		if isToken && isOwner {
			who := tok.identity(digest{}, owner, tok.ends(time.Hour))
			if who.Tokens != nil || who.Session != sessionPrefix+(digest{}).String() || who.Machine {
				t.Fatalf("%+v", who)
			}
			for _, s := range who.Scopes {
				if !slices.Contains(owner.Scopes, s) {
					t.Fatalf("the scope %q is not the owner's", s)
				}
			}
			if who.Ends.After(time.UnixMilli(tok.Ends)) {
				t.Fatal("it lasts longer than it was made for")
			}
			who.Claims.Map()
		}
		if rec, ok := decode[listedRecord](b); ok {
			if _, err := json.Marshal(rec.shown()); err != nil && rec.Created < 1<<47 && rec.Ends < 1<<47 && rec.Used < 1<<47 && min(rec.Created, rec.Ends, rec.Used) > -1<<44 {
				t.Fatal(err)
			}
		}
	})
}

func FuzzWish(f *testing.F) {
	f.Add("name=a&expires_in=60&scopes=a+b&scopes=c&hosts=git.test&read_only=true")
	f.Add("revoke=0123")
	f.Add(`{"name":"a","expires_in":60,"scopes":["a"],"hosts":["git.test"],"read_only":true}`)
	f.Add(`{"revoke":"0123"}`)
	f.Fuzz(func(t *testing.T, body string) {
		for _, parse := range []func() (wish, error){
			func() (wish, error) { return parseForm(body) }, func() (wish, error) { return parseJSON([]byte(body)) },
		} {
			w, err := parse()
			if err != nil || w.check() != nil {
				continue
			}
			if (w.revoke == "") == (w.name == "") {
				t.Fatalf("it makes and revokes, or does neither: %+v", w)
			}
			if !utf8.ValidString(w.name) || utf8.RuneCountInString(w.name) > maxName || strings.TrimSpace(w.name) != w.name || w.life < 0 {
				t.Fatalf("%+v", w)
			}
		}
	})
}
