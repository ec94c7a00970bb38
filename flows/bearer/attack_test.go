package bearer_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows/bearer"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/signing"
)

// Every row is a token that must not pass, whatever else the route takes.
func TestTokensThatMustNotPass(t *testing.T) {
	w := newWorld(t)
	c := w.checker("corp", "partner")
	accepts(t, c, plain(w.alice("corp")))
	stranger, err := idp.NewKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, value any) func(*idp.Mint) {
		return func(m *idp.Mint) { m.Claims = map[string]any{name: value} }
	}
	header := func(name string, value any) func(*idp.Mint) {
		return func(m *idp.Mint) { m.Header = map[string]any{name: value} }
	}
	sign := func(how string) func(*idp.Mint) { return func(m *idp.Mint) { m.Sign = how } }
	for name, row := range map[string]struct{ token, word, says string }{
		"P118 garbage":                   {"garbage", "invalid_token", "no JWT"},
		"P118 one letter":                {"x", "invalid_token", ""},
		"P118 three empty parts":         {"..", "invalid_token", ""},
		"P119 alg none":                  {w.alice("corp", sign(idp.SignNone)), "invalid_token", "signature"},
		"P119 no signature":              {w.alice("corp", sign(idp.SignEmpty)), "invalid_token", ""},
		"P119 HS256 with the public key": {w.alice("corp", sign(idp.SignHS256PublicKey)), "invalid_token", "HS256"},
		"P119 an embedded key":           {w.alice("corp", sign(idp.SignEmbeddedKey)), "invalid_token", "jwk"},
		"P119 jku":                       {w.alice("corp", header("jku", "http://127.0.0.1:9002/keys")), "invalid_token", "jku"},
		"P119 x5u":                       {w.alice("corp", header("x5u", "http://127.0.0.1:9002/keys")), "invalid_token", "x5u"},
		"P119 a key of nobody":           {w.alice("corp", func(m *idp.Mint) { m.Key = &stranger }), "invalid_token", "signature"},
		"P120 aud of another API":        {w.alice("corp", claim("aud", another)), "invalid_token", api},
		"P120 aud missing":               {w.alice("corp", claim("aud", nil)), "invalid_token", ""},
		"P120 iss of another":            {w.alice("corp", claim("iss", issuers["partner"])), "invalid_token", "signature"},
		"P120 exp missing":               {w.alice("corp", claim("exp", nil)), "invalid_token", "exp"},
		"P120 expired":                   {w.alice("corp", func(m *idp.Mint) { m.Lifetime = -5 * time.Minute }), "invalid_token", "expired: it ended 5m"},
		"P121 an ID token":               {w.alice("corp", header("typ", "JWT"), claim("nonce", "n")), "invalid_token", "not an access token"},
		"P122 kid of a file":             {w.alice("corp", header("kid", "../../etc/passwd")), "invalid_token", ""},
		"P122 a kid of 4 kB":             {w.alice("corp", header("kid", strings.Repeat("k", 4<<10))), "invalid_token", "kid"},
		"P122 a kid of 64 kB":            {w.alice("corp", header("kid", strings.Repeat("k", 64<<10))), "invalid_token", "16 kB"},
		"P124 a JWE":                     {jwe(), "invalid_token", ""},
		"P125 1 MB":                      {strings.Repeat("a", 1<<20), "invalid_token", "16 kB"},
		"P125 a million dots":            {strings.Repeat(".", 1<<20), "invalid_token", "16 kB"},
		"P125 16,000 dots":               {strings.Repeat(".", 16_000), "invalid_token", ""},
		"RS-1 a space":                   {"a b", "invalid_request", "characters"},
		"RS-1 a comma":                   {w.alice("corp") + ",x", "invalid_request", "characters"},
		"RS-1 a line":                    {"a\nb", "invalid_request", "characters"},
		"RS-1 not ASCII":                 {"é", "invalid_request", "characters"},
		"RS-1 nothing":                   {"", "invalid_request", "characters"},
		"a ticket":                       {"dw1.abc", "invalid_token", "own"},
		"a personal token":               {"dwp.abc", "invalid_token", "own"},
		"RS-3 no jti":                    {w.alice("corp", claim("jti", nil)), "invalid_token", "jti"},
		"RS-9 cnf is a string":           {w.alice("corp", claim("cnf", "x")), "invalid_token", "cnf"},
		"RS-9 an empty cnf":              {w.alice("corp", claim("cnf", map[string]any{})), "invalid_token", "cannot be checked"},
		"RS-9 an unknown cnf":            {w.alice("corp", claim("cnf", map[string]any{"kid": "x"})), "invalid_token", "cannot be checked"},
		"RS-9 an empty jkt":              {w.alice("corp", claim("cnf", map[string]any{"jkt": ""})), "invalid_token", "jkt"},
		"RS-9 a jkt that is a number":    {w.alice("corp", claim("cnf", map[string]any{"jkt": 1})), "invalid_token", "jkt"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time from memory
				r := refuses(t, c, plain(row.token), row.word, row.says)
				if want := map[string]int{"invalid_token": 401, "invalid_request": 400}[row.word]; r.Status() != want {
					t.Errorf("status %d", r.Status())
				}
			}
		})
	}
}

func jwe() string {
	b := base64.RawURLEncoding.EncodeToString
	return b([]byte(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":1000000000,"zip":"DEF"}`)) + "." + b([]byte("k")) + "." + b([]byte("iv")) + "." + b([]byte("c")) + "." + b([]byte("t"))
}

func TestP123AStormOfUnknownKeysIsOneFetch(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp")
		accepts(t, c, plain(w.alice("corp")))
		before := len(w.idps["corp"].Requests(idp.JWKS))
		for i := range 200 {
			refuses(t, c, plain(w.alice("corp", func(m *idp.Mint) {
				m.Sign, m.Header = idp.SignUnknownKey, map[string]any{"kid": fmt.Sprint("k", i)}
			})), credentials.InvalidToken, "")
			refuses(t, c, plain(w.alice("corp", func(m *idp.Mint) { m.Sign = idp.SignCorrupt })), credentials.InvalidToken, "signature")
		}
		if n := len(w.idps["corp"].Requests(idp.JWKS)) - before; n > 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

func TestP126OnlyTheBooleanTrueIsActive(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("vault")
		for _, name := range []string{
			"text_active", "number_active", "null_active", "no_active", "inactive", "empty", "list", "null", "twice_active", "garbage", "html", "server_error",
			"unavailable", "too_many", "unauthorized", "oversize", "drop", "redirect", "other_iss", "other_aud", "no_aud", "expired", "text_exp", "future_nbf", "refresh_typed", "cnf",
		} {
			w.idps["vault"].Misbehave(idp.Named("introspect_" + name))
			who, err := c.Check(t.Context(), plain(w.alice("vault", opaque)))
			var no *credentials.Refusal
			var unknown *pages.Error
			if who != nil || !errors.As(err, &no) && !errors.As(err, &unknown) {
				t.Errorf("%s: %v, %v", name, who, err)
			}
			switch name {
			case "server_error", "html", "garbage", "drop", "unavailable", "too_many", "unauthorized":
				if unknown == nil || unknown.Code != "provider_unavailable" {
					t.Errorf("%s is no answer about the token: %v", name, err)
				}
			case "inactive":
				if no == nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			w.idps["vault"].Heal()
			time.Sleep(time.Minute) // whatever was failing has recovered
		}
		accepts(t, c, plain(w.alice("vault", opaque)))
	})
}

func TestRS7AnAnswerWithoutAnEndCountsForAMinute(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("vault")
		w.idps["vault"].Misbehave(idp.Named("introspect_no_exp").Always())
		token := w.alice("vault", opaque)
		who := accepts(t, c, plain(token))
		if !who.Ends.IsZero() {
			t.Errorf("it ends at %v", who.Ends)
		}
		time.Sleep(30 * time.Second)
		if ok, err := c.Alive(t.Context(), who); !ok || err != nil || w.asked("vault") != 1 {
			t.Errorf("%v, %v, asked %d times", ok, err, w.asked("vault"))
		}
		time.Sleep(30 * time.Second)
		accepts(t, c, plain(token))
		if w.asked("vault") != 2 {
			t.Errorf("asked %d times", w.asked("vault"))
		}
	})
}

func TestP127TwoRoutesNeverShareAVerdict(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for _, at := range []string{"corp", "vault"} {
			token := w.alice(at, func(m *idp.Mint) { m.Opaque = at == "vault" })
			orders, admin := w.checkerFor([]string{api}, at), w.checkerFor([]string{another}, at)
			accepts(t, orders, plain(token))
			refuses(t, admin, plain(token), credentials.InvalidToken, "not meant for this API")
			accepts(t, orders, plain(token))
		}
		token := w.alice("vault", opaque)
		accepts(t, w.checker("vault"), plain(token))
		refuses(t, w.checker("cellar"), plain(token), credentials.InvalidToken, "not active")
		jwt := w.alice("corp")
		accepts(t, w.checker("corp", "partner"), plain(jwt))
		refuses(t, w.checker("partner"), plain(jwt), credentials.InvalidToken, "not accepted here")
		// Names that run into each other are different lists.
		refuses(t, w.checkerFor([]string{api + "a", "b"}, "corp"), plain(jwt), credentials.InvalidToken, "")
	})
}

func TestNoTokenOfDoorwardsOwnIsShownToAProvider(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for _, token := range []string{"dw1.abc", "dwp.abc"} {
			refuses(t, w.checker("vault"), plain(token), credentials.InvalidToken, "own")
		}
		if w.counts() != 0 {
			t.Error("a provider has seen one")
		}
	})
}

func TestRoutesOfTheSameRulesShareVerdicts(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		token := w.alice("vault", opaque)
		accepts(t, w.checkerFor([]string{api, another}, "vault"), plain(token))
		accepts(t, w.checkerFor([]string{another, api}, "vault"), plain(token))
		if w.asked("vault") != 1 {
			t.Errorf("asked %d times", w.asked("vault"))
		}
	})
}

func TestGarbageDrivesOutNoGoodVerdict(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.v = w.verifier(1 << 20)
		c := w.checker("vault")
		token := w.alice("vault", opaque)
		accepts(t, c, plain(token))
		w.idps["vault"].Misbehave(idp.Member("active", false).On(idp.Introspect).Always())
		for i := range 1000 {
			refuses(t, c, plain(fmt.Sprint("garbage", i)), credentials.InvalidToken, "")
		}
		accepts(t, c, plain(token))
	})
}

func TestARefusalIsForgottenSoonerThanAYes(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("vault")
		w.idps["vault"].Misbehave(idp.Named("introspect_inactive"))
		token := w.alice("vault", opaque)
		refuses(t, c, plain(token), credentials.InvalidToken, "not active")
		time.Sleep(9 * time.Second)
		refuses(t, c, plain(token), credentials.InvalidToken, "not active")
		time.Sleep(time.Second)
		accepts(t, c, plain(token))
		if w.asked("vault") != 2 {
			t.Errorf("asked %d times", w.asked("vault"))
		}
	})
}

func TestNoTokenReachesTheLog(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.idps["vault"].Misbehave(idp.OAuthError("invalid_client").On(idp.Introspect).Always())
		token := w.alice("vault", opaque)
		fails(t, w.checker("vault"), plain(token), "provider_unavailable")
		if log := w.log.String(); !strings.Contains(log, "invalid_client") || strings.Contains(log, token) {
			t.Errorf("%s", log)
		}
	})
}

// TestGarbageUnderExaminationHoldsUpNoTokenThatIsKnown: whoever sends garbage to a provider that is slow about it may keep
// others from being looked at for the first time, but not those who were let in before.
func TestGarbageUnderExaminationHoldsUpNoTokenThatIsKnown(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("vault")
		known, unknown := w.alice("vault", opaque), w.alice("vault", opaque)
		accepts(t, c, plain(known))
		time.Sleep(time.Minute) // the verdict has ended
		w.idps["vault"].Misbehave(idp.Answer(503, "", "").On(idp.Introspect).For("token", known))
		fails(t, c, plain(known), "provider_unavailable") // an outage makes no stranger of it
		time.Sleep(3 * time.Second)
		var all sync.WaitGroup
		for i := range 100 {
			garbage := fmt.Sprint("garbage", i)
			w.idps["vault"].Misbehave(idp.Hanging().On(idp.Introspect).For("token", garbage).Always())
			all.Go(func() { _, _ = c.Check(t.Context(), plain(garbage)) })
		}
		time.Sleep(time.Second)
		fails(t, c, plain(unknown), "overloaded")
		began := time.Now()
		accepts(t, c, plain(known))
		if d := time.Since(began); d > 0 {
			t.Errorf("it waited for %s", d)
		}
		w.idps["vault"].EndToken(known)
		time.Sleep(time.Minute)
		refuses(t, c, plain(known), credentials.InvalidToken, "not active")
		all.Wait()
	})
}

// TestTokensThatWereMadeForSomethingElse: whatever else is signed in this house, or carried in a request, opens nothing.
func TestTokensThatWereMadeForSomethingElse(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		c := w.checker("corp", "partner")
		ours, err := signing.New([][]byte{bytes.Repeat([]byte{1}, signing.SeedSize)})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now().Unix()
		own := func(iss string) string {
			token, err := ours.Sign(map[string]any{"iss": iss, "sub": "8f2c-alice", "aud": api, "iat": now, "exp": now + 60, "jti": "J", "client_id": "doorward", "scope": "orders.read"})
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		typed := func(typ string) string {
			return w.alice("corp", func(m *idp.Mint) { m.Header = map[string]any{"typ": typ} })
		}
		for name, row := range map[string]struct{ token, says string }{
			"our own assertion":              {own("https://gateway.example"), "not accepted here"},
			"our own, in a provider's name":  {own(issuers["corp"]), "signature"},
			"a client's assertion":           {own("doorward"), "not accepted here"},
			"a DPoP proof":                   {newKey(t).proof(t, "x", nil), "names no issuer"},
			"a DPoP proof that names one":    {newKey(t).proof(t, "x", map[string]any{"iss": issuers["corp"]}), "malformed"},
			"a signed answer about a token":  {typed("token-introspection+jwt"), "not an access token"},
			"a logout token":                 {typed("logout+jwt"), "not an access token"},
			"of partner, in the name of his": {w.alice("partner", func(m *idp.Mint) { m.Claims = map[string]any{"iss": issuers["corp"]} }), "signature"},
		} {
			if refuses(t, c, plain(row.token), credentials.InvalidToken, row.says); t.Failed() {
				t.Fatal(name)
			}
		}
	})
}

// TestAPanicIsAnsweredAndRememberedByNobody, and does not end the process, though a verdict is made apart from the request.
func TestAPanicIsAnsweredAndRememberedByNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var calls atomic.Int32 // until the clock panics
		v, err := bearer.New(bearer.Deps{Providers: w.providers, Shared: w.shared, Log: slog.New(slog.NewJSONHandler(w.log, nil)), Now: func() time.Time {
			if calls.Add(-1) == 0 {
				panic("a bug")
			}
			return time.Now()
		}})
		if err != nil {
			t.Fatal(err)
		}
		w.v = v
		c, token := w.checker("corp"), w.alice("corp")
		for n := range int32(4) {
			calls.Store(2 + n) // the first is that of the request itself
			if n < 3 {
				fails(t, c, plain(token), "provider_unavailable")
			}
		}
		accepts(t, c, plain(token))
		if log := w.log.String(); strings.Contains(log, token) || strings.Contains(log, "a bug") || strings.Count(log, "panic") < 3 {
			t.Errorf("%s", log)
		}
	})
}

// TestP127TwoProvidersOfOneIssuerNeverShareAVerdict: they may hold a token to different claims.
func TestP127TwoProvidersOfOneIssuerNeverShareAVerdict(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for name, change := range map[string]func(*provider.Config){
			"by-client": func(c *provider.Config) { c.AudienceClaim = "client_id" },
			"by-alg":    func(c *provider.Config) { c.SigningAlgs = []string{"PS512"} },
		} {
			conf := provider.Config{Name: name, Issuer: issuers["corp"], Discovery: true}
			change(&conf)
			p, err := provider.New(conf, provider.Deps{Dial: w.net.Dial})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(p.Close)
			w.providers[name] = p
		}
		w.v = w.verifier(0)
		token := w.alice("corp")
		accepts(t, w.checker("corp"), plain(token))
		refuses(t, w.checker("by-client"), plain(token), credentials.InvalidToken, "client_id")
		refuses(t, w.checker("by-alg"), plain(token), credentials.InvalidToken, "signed in a way")
		accepts(t, w.checkerFor([]string{"doorward"}, "by-client"), plain(token))
		refuses(t, w.checkerFor([]string{"doorward"}, "corp"), plain(token), credentials.InvalidToken, "not meant for this API")
		// Of two with the same issuer the first judges.
		accepts(t, w.checker("corp", "by-alg"), plain(token))
		refuses(t, w.checker("by-alg", "corp"), plain(token), credentials.InvalidToken, "signed in a way")
	})
}
