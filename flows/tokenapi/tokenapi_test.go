package tokenapi_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/flows/tokenapi"
)

func decode(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }

func TestATokenOfOurOwn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for _, path := range []string{"/token", "/api/v1/token"} {
			for _, target := range []string{"data", "data.write", "backup"} { // audience, scope, name
				if target == "data" {
					continue // two credentials have it
				}
				a := w.post(path, map[string]any{"identity_provider": "corp", "target": target})
				if a.status != 200 || a.text("token_type") != "Bearer" || a.body["expires_in"] != 300.0 || len(a.body) != 3 {
					t.Fatalf("%d %s", a.status, a.raw)
				}
				if c := claims(t, a.text("access_token")); c["aud"] != "data" || c["sub"] != "doorward" || c["scope"] != "data.write" {
					t.Errorf("%v", c)
				}
			}
		}
		if n := len(w.idp.Requests(idp.Token)); n != 1 {
			t.Errorf("%d requests: it is kept", n)
		}
	})
}

func TestJSONAndFormAreTheSame(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		one := w.post("/token", map[string]any{"identity_provider": "corp", "target": "https://api.example/stock"})
		other := w.form("/token", map[string]string{"identity_provider": "corp", "target": "https://api.example/stock"})
		if one.status != 200 || other.status != 200 || one.text("access_token") != other.text("access_token") {
			t.Errorf("%s, %s", one.raw, other.raw)
		}
		token := w.alice()
		one = w.post("/token/exchange", map[string]any{"identity_provider": "corp", "target": "orders", "user_token": token})
		other = w.form("/api/v1/token/exchange", map[string]string{"identity_provider": "corp", "target": "orders", "user_token": token})
		if one.status != 200 || other.status != 200 || one.text("access_token") != other.text("access_token") {
			t.Errorf("%s, %s", one.raw, other.raw)
		}
	})
}

func TestAUsersTokenIsExchanged(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		token := w.alice()
		a := w.post("/token/exchange", map[string]any{"identity_provider": "corp", "target": "orders", "user_token": token})
		if a.status != 200 || a.text("token_type") != "Bearer" || a.body["expires_in"] != 300.0 || len(a.body) != 3 {
			t.Fatalf("%d %s", a.status, a.raw)
		}
		if c := claims(t, a.text("access_token")); c["aud"] != "orders" || c["sub"] != "8f2c-alice" {
			t.Errorf("%v", c)
		}
		bob := w.post("/token/exchange", map[string]any{"identity_provider": "corp", "target": "orders", "user_token": w.alice(func(m *idp.Mint) { m.User = "bob" })})
		if c := claims(t, bob.text("access_token")); c["sub"] != "77aa-bob" {
			t.Errorf("%v", c)
		}
	})
}

func TestSkipCacheMakesAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ask := func(skip any) string {
			a := w.post("/token", map[string]any{"identity_provider": "corp", "target": "backup", "skip_cache": skip})
			if a.status != 200 {
				t.Fatal(a.raw)
			}
			return a.text("access_token")
		}
		first := ask(nil)
		if ask(false) != first {
			t.Error("it is kept")
		}
		time.Sleep(10 * time.Second)
		second := ask(true)
		if second == first || ask(nil) != second {
			t.Error("a fresh one replaces it")
		}
		time.Sleep(10 * time.Second)
		if w.form("/token", map[string]string{"identity_provider": "corp", "target": "backup", "skip_cache": "true"}).text("access_token") == second {
			t.Error("skip_cache of a form")
		}
	})
}

func TestP141NobodyMakesUpATarget(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for _, target := range []string{"admin", "data.read", "data.write admin", "DATA.WRITE", "orders", "https://api.example/stock/", "twice", "data", "", "elsewhere"} {
			w.refuses(w.post("/token", map[string]any{"identity_provider": "corp", "target": target}), 400, "invalid_request", "target")
		}
		w.refuses(w.post("/token", map[string]any{"identity_provider": "nobody", "target": "backup"}), 400, "invalid_request", "")
		w.refuses(w.post("/token/exchange", map[string]any{"identity_provider": "corp", "target": "backup", "user_token": w.alice()}), 400, "invalid_request", "exchanging")
		if n := len(w.idp.Requests(idp.Token)); n != 0 {
			t.Errorf("%d requests went out", n)
		}
		// Whatever else is said is not passed on.
		a := w.post("/token?audience=admin&scope=admin", map[string]any{
			"identity_provider": "corp", "target": "backup", "audience": "admin", "scope": "admin", "resource": "https://admin.example", "Target": "stock",
			"authorization_details": []any{map[string]any{"type": "admin"}},
		})
		form := w.idp.Last(idp.Token).Form
		if a.status != 200 || form.Get("scope") != "data.write" || fmt.Sprint(form["audience"]) != "[data]" || form.Has("resource") || form.Has("authorization_details") {
			t.Errorf("%d %s, sent %v", a.status, a.raw, form)
		}
	})
}

func TestP140OnlyAVerifiedTokenIsASubject(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for name, token := range map[string]string{
			"expired":          w.alice(func(m *idp.Mint) { m.Lifetime = -time.Hour }),
			"another audience": w.alice(func(m *idp.Mint) { m.Audience = []string{"orders"} }),
			"unsigned":         w.alice(func(m *idp.Mint) { m.Sign = idp.SignNone }),
			"badly signed":     w.alice(func(m *idp.Mint) { m.Sign = idp.SignCorrupt }),
			"another issuer":   w.alice(func(m *idp.Mint) { m.Claims = map[string]any{"iss": "https://evil.example"} }),
			"an ID token":      w.alice(func(m *idp.Mint) { m.Header, m.Claims = map[string]any{"typ": "JWT"}, map[string]any{"nonce": "n"} }),
			"bound to a key":   w.alice(func(m *idp.Mint) { m.JKT = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0" }),
			"garbage":          "garbage",
			"a ticket":         "dw1.abc",
		} {
			a := w.post("/token/exchange", map[string]any{"identity_provider": "corp", "target": "orders", "user_token": token})
			w.refuses(a, 400, "invalid_grant", "token")
			if strings.Contains(a.raw, token) {
				t.Errorf("%s: the answer holds the token: %s", name, a.raw)
			}
		}
		w.refuses(w.post("/token/exchange", map[string]any{"identity_provider": "corp", "target": "orders", "user_token": "a b"}), 400, "invalid_request", "characters")
		w.refuses(w.post("/token/exchange", map[string]any{"identity_provider": "corp", "target": "orders"}), 400, "invalid_request", "user_token is missing")
		w.refuses(w.post("/token/exchange", map[string]any{"identity_provider": "mute", "target": "orders", "user_token": w.alice()}), 400, "invalid_request", "nobody's tokens")
		for _, path := range []string{"/token", "/token/exchange"} {
			w.refuses(w.post(path, map[string]any{"identity_provider": "corp", "user_token": w.alice()}), 400, "invalid_request", "target is missing")
		}
		if n := len(w.idp.Requests(idp.Token)); n != 0 {
			t.Errorf("P139 %d of them were sent to the provider", n)
		}
	})
}

// TestP139ATokenElsewhereInTheRequestIsNoSubject.
func TestP139ATokenElsewhereInTheRequestIsNoSubject(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		bob := w.alice(func(m *idp.Mint) { m.User = "bob" })
		body, err := json.Marshal(map[string]any{"identity_provider": "corp", "target": "orders", "user_token": w.alice(), "subject_token": bob})
		if err != nil {
			t.Fatal(err)
		}
		r := w.request(http.MethodPost, "/token/exchange?user_token="+bob, "application/json", string(body))
		r.Header.Set("Authorization", "Bearer "+bob)
		r.Header.Set("X-Subject-Token", bob)
		if c := claims(t, w.send(r).text("access_token")); c["sub"] != "8f2c-alice" {
			t.Errorf("%v", c)
		}
	})
}

func TestWhatTheProviderSaysIsPassedOn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		exchange := func(target string) answer {
			return w.post("/token/exchange", map[string]any{"identity_provider": "corp", "target": target, "user_token": w.alice()})
		}
		w.refuses(exchange("refused"), 502, "invalid_target", "")
		w.idp.Misbehave(idp.OAuthError("invalid_grant").For("grant_type", idp.GrantTokenExchange))
		w.refuses(exchange("orders"), 400, "invalid_grant", "")
		w.idp.Misbehave(idp.Named("exchange_unavailable").Always())
		a := exchange("orders")
		w.refuses(a, 503, "temporarily_unavailable", "")
		if a.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		w.idp.Heal()
		time.Sleep(time.Minute)
		w.idp.Misbehave(idp.Named("exchange_n_a"))
		w.refuses(exchange("orders"), 502, "server_error", "")
		synctest.Wait()
		log := w.log.String()
		for _, want := range []string{`"code":"credential_refused"`, `"code":"invalid_token"`, `"code":"provider_unavailable"`, "invalid_target", `"user":"8f2c-alice"`, `"provider":"corp"`, a.header.Get("Doorward-Reference")} {
			if want == "" || !strings.Contains(log, want) {
				t.Errorf("no %q in %s", want, log)
			}
		}
		if strings.Contains(log, "eyJ") {
			t.Errorf("a token in %s", log)
		}
	})
}

func TestAStepUpIsPassedOnWithItsClaims(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		w.idp.Misbehave(idp.Named("jwt_bearer_step_up"))
		a := w.post("/token/exchange", map[string]any{"identity_provider": "corp", "target": "graph", "user_token": w.alice()})
		w.refuses(a, 400, "interaction_required", "")
		if !json.Valid([]byte(a.text("claims"))) {
			t.Errorf("%s", a.raw)
		}
	})
}

func TestIntrospection(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		ask := func(provider, token string) answer {
			w.t.Helper()
			a := w.post("/introspect", map[string]any{"identity_provider": provider, "token": token})
			if a.status != 200 {
				t.Errorf("%d %s", a.status, a.raw)
			}
			return a
		}
		inactive := func(a answer, why string) {
			w.t.Helper()
			if a.body["active"] != false || !strings.Contains(a.text("error"), why) || len(a.body) != 2 {
				w.t.Errorf("%s; want %s", a.raw, why)
			}
		}
		token := w.alice(func(m *idp.Mint) {
			m.Claims = map[string]any{"active": false, "big": json.Number("12345678901234567890"), "html": "<b>&", "nested": map[string]any{"a": []int{1}}}
		})
		a := ask("corp", token)
		want := claims(t, token)
		want["active"] = true
		if fmt.Sprint(a.body) != fmt.Sprint(want) || !strings.Contains(a.raw, "12345678901234567890") {
			t.Errorf("%s, want %v", a.raw, want)
		}
		if b := w.form("/api/v1/introspect", map[string]string{"identity_provider": "corp", "token": token}); b.raw != a.raw {
			t.Errorf("%s", b.raw)
		}
		if a := ask("entra_id", w.alice(func(m *idp.Mint) { m.Opaque = true })); a.body["active"] != true || a.text("sub") != "8f2c-alice" || a.text("iss") != issuer {
			t.Errorf("%s", a.raw)
		}
		expired := ask("corp", w.alice(func(m *idp.Mint) { m.Lifetime = -time.Hour }))
		if expired.raw != `{"active":false,"error":"token is expired"}`+"\n" {
			t.Errorf("%s", expired.raw)
		}
		inactive(ask("corp", w.alice(func(m *idp.Mint) { m.Audience = []string{"other"} })), "not meant for this API")
		inactive(ask("corp", "not a jwt"), "characters")
		inactive(ask("corp", "garbage"), "no JWT")
		inactive(ask("nobody", token), "not enabled")
		inactive(ask("corp", w.alice(func(m *idp.Mint) { m.Certificate = "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0" })), "bound")
		w.idp.Misbehave(idp.Dropped().On(idp.Introspect).Always())
		inactive(ask("entra-id", w.alice(func(m *idp.Mint) { m.Opaque = true })), "cannot be checked at the moment")
		if log := w.log.String(); !strings.Contains(log, "could not be introspected") {
			t.Errorf("%s", log)
		}
		w.refuses(w.post("/introspect", map[string]any{"identity_provider": "corp"}), 400, "invalid_request", "token is missing")
	})
}

func TestP150BrowsersAreRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for name, value := range map[string]string{
			"Origin": "null", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty", "Sec-Fetch-User": "?1", "origin": "http://127.0.0.1:4182",
		} {
			for _, path := range []string{"/token", "/token/exchange", "/introspect"} {
				r := w.request(http.MethodPost, path, "application/json", `{"identity_provider":"corp","target":"backup"}`)
				r.Header.Set(name, value)
				w.refuses(w.send(r), 403, "access_denied", "browser")
			}
		}
		r := w.request(http.MethodPost, "/token", "application/json", `{"identity_provider":"corp","target":"backup"}`)
		r.Header.Set("Sec-Fetch-Mode", "cors") // the fetch of Node.js
		if a := w.send(r); a.status != 200 {
			t.Errorf("%d %s", a.status, a.raw)
		}
	})
}

func TestOtherMethodsAndPaths(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for _, method := range []string{"GET", "PUT", "DELETE", "OPTIONS", "PATCH"} {
			a := w.send(w.request(method, "/token?identity_provider=corp&target=backup", "application/json", ""))
			w.refuses(a, 405, "invalid_request", "POST")
			if a.header.Get("Allow") != "POST" {
				t.Errorf("Allow %q", a.header.Get("Allow"))
			}
		}
		for _, path := range []string{"/", "/token/", "/tokens", "/api/v1", "/api/v1/", "/api/v2/token", "/api/v1/api/v1/token", "/token/exchange/x", "/introspect.json", "/Token"} {
			w.refuses(w.postBody(path, "application/json", `{"identity_provider":"corp","target":"backup"}`), 404, "invalid_request", "")
		}
	})
}

func TestBodiesThatAreNotUnderstood(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const good = `{"identity_provider":"corp","target":"backup"}`
		for name, row := range map[string]struct{ contentType, body, says string }{
			"no type":                  {"", good, "media type"},
			"plain text, as of a form": {"text/plain", good, "media type"},
			"multipart":                {"multipart/form-data; boundary=x", good, "media type"},
			"empty":                    {"application/json", "", "JSON object"},
			"a list":                   {"application/json", "[" + good + "]", "JSON object"},
			"null":                     {"application/json", "null", "JSON object"},
			"two objects":              {"application/json", good + good, "JSON object"},
			"something behind":         {"application/json", good + "x", "JSON object"},
			"cut off":                  {"application/json", good[:len(good)-1], "JSON object"},
			"twice a member":           {"application/json", `{"identity_provider":"corp","target":"a","target":"backup"}`, "twice"},
			"twice, written otherwise": {"application/json", `{"identity_provider":"corp","target":"a","\u0074arget":"backup"}`, "twice"},
			"a number":                 {"application/json", `{"identity_provider":"corp","target":1}`, "target is not a string"},
			"null is nothing":          {"application/json", `{"identity_provider":null,"target":"backup"}`, "identity_provider is missing"},
			"nothing":                  {"application/json", `{}`, "identity_provider is missing"},
			"another case":             {"application/json", `{"Identity_Provider":"corp","target":"backup"}`, "identity_provider is missing"},
			"skip_cache is a word":     {"application/json", `{"identity_provider":"corp","target":"backup","skip_cache":"true"}`, "skip_cache"},
			"not UTF-8":                {"application/json", "{\"identity_provider\":\"corp\",\"target\":\"\xff\"}", "JSON object"},
			"a form with it twice":     {"application/x-www-form-urlencoded", "identity_provider=corp&target=a&target=backup", "twice"},
			"a form with a semicolon":  {"application/x-www-form-urlencoded", "identity_provider=corp;target=backup", "form"},
			"a form with a bad escape": {"application/x-www-form-urlencoded", "identity_provider=corp&target=%zz", "form"},
			"a form that is not UTF-8": {"application/x-www-form-urlencoded", "identity_provider=corp&target=%ff", "UTF-8"},
			"a form's skip_cache":      {"application/x-www-form-urlencoded", "identity_provider=corp&target=backup&skip_cache=1", "skip_cache"},
			"JSON as a form":           {"application/x-www-form-urlencoded", good, "identity_provider is missing"},
		} {
			a := w.postBody("/token", row.contentType, row.body)
			if w.refuses(a, 400, "invalid_request", row.says); t.Failed() {
				t.Fatal(name)
			}
		}
		w.refuses(w.postBody("/token", "application/json", `{"x":"`+strings.Repeat("x", 64<<10)+`"}`), 413, "invalid_request", "64 kB")
		time.Sleep(time.Second) // the server lingers on a connection whose request it has not read to the end
		if a := w.postBody("/token", "application/json; charset=utf-8", good); a.status != 200 {
			t.Errorf("%d %s", a.status, a.raw)
		}
	})
}

func TestItNeedsCredentials(t *testing.T) {
	if _, err := tokenapi.New(tokenapi.Deps{}); err == nil {
		t.Error("without credentials there is nothing to hand out")
	}
}
