package credential

import (
	"bytes"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

func sample() *grant {
	at := time.UnixMilli(1_800_000_000_000)
	g := &grant{
		tokens: &identity.Tokens{AccessToken: secret.New("eyJ.a.b"), TokenType: "Bearer", IssuedTokenType: "urn:x", Scope: "a b", ReceivedAt: at, Expiry: at.Add(time.Hour)},
		source: at.Add(2 * time.Hour), limit: at.Add(3 * time.Hour), ends: at.Add(time.Hour),
	}
	return g
}

func TestWhatIsLeftForReplicasComesBackWhole(t *testing.T) {
	want := sample()
	got := must(decode(encode(want)))(t)
	a, b := got.tokens, want.tokens
	if a.AccessToken.Reveal() != b.AccessToken.Reveal() || a.TokenType != b.TokenType || a.IssuedTokenType != b.IssuedTokenType || a.Scope != b.Scope ||
		!a.ReceivedAt.Equal(b.ReceivedAt) || !a.Expiry.Equal(want.ends) || !got.source.Equal(want.source) || !got.limit.Equal(want.limit) {
		t.Errorf("%+v %+v", got, a)
	}
	whole := encode(want)
	for n := range whole {
		if _, err := decode(whole[:n]); err == nil {
			t.Errorf("%d of %d bytes are enough", n, len(whole))
		}
	}
	if _, err := decode(append(whole, 0)); err == nil {
		t.Error("a byte more")
	}
}

// FuzzDecode: whatever is read can be written and read again, has a token and an end, and never takes memory that is not there.
func FuzzDecode(f *testing.F) {
	f.Add(encode(sample()))
	f.Add([]byte{layout, 2, 2, 0, 0, 1, 'x', 0, 0, 0})
	f.Add([]byte{layout, 2, 2, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := decode(b)
		if err != nil {
			if g != nil {
				t.Fatal("a grant came with the error")
			}
			return
		}
		g.ends = g.tokens.Expiry
		if g.tokens.AccessToken.IsZero() || g.ends.IsZero() || g.ends.Year() > 9999 || len(encode(g)) > len(b) {
			t.Fatalf("%x", b)
		}
		again, err := decode(encode(g))
		if err != nil || !bytes.Equal(encode(g), encodeAgain(again)) {
			t.Fatalf("%x: %v", b, err)
		}
	})
}

func encodeAgain(g *grant) []byte {
	g.ends = g.tokens.Expiry
	return encode(g)
}

// FuzzPlace: no token, whatever a provider sends, ends the header or begins another cookie.
func FuzzPlace(f *testing.F) {
	for _, s := range []string{"", "eyJ.a.b", "a b", "a\r\nX: y", "a; b=c", "ä", "\x00", `"`, " a"} {
		f.Add(s)
	}
	places := []place{
		newPlace(&Config{}), newPlace(&Config{Cookie: "c"}), newPlace(&Config{Header: "X-Key"}), newPlace(&Config{Format: "basic"}), newPlace(&Config{Format: "a {token} b"}),
	}
	f.Fuzz(func(t *testing.T, token string) {
		for _, p := range places {
			c, ok := p.credential("x", identity.Tokens{AccessToken: secret.New(token)})
			if !ok {
				continue
			}
			v := c.Values[0]
			if token == "" || c.Tokens.AccessToken.Reveal() != token || bytes.ContainsAny([]byte(v), "\r\n\x00") || c.Header == "Cookie" && bytes.ContainsAny([]byte(v), "; ,") {
				t.Fatalf("%q became %q", token, v)
			}
		}
	})
}

// FuzzJWTEnd: a token's own word about its end is a time that can be worked with, or nothing.
func FuzzJWTEnd(f *testing.F) {
	for _, s := range []string{"", "..", "a.e30.c", "a.eyJleHAiOjE4MDAwMDAwMDB9.c", "a.eyJleHAiOjFlMzA4fQ.c", "a.eyJleHAiOi0xfQ.c", "a.eyJleHAiOiJ4In0.c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if at := jwtEnd(secret.New(s)); !at.IsZero() && (at.Year() < 1970 || at.Year() > 9999) {
			t.Fatalf("%q ends %v", s, at)
		}
	})
}
