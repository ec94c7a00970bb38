package credential

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
)

// TestP145ProviderAnswersOfEveryShapeFailClosed: whatever the provider answers, either a token of the right kind for the right
// person comes of it, or nothing. The caller's own token never does.
func TestP145ProviderAnswersOfEveryShapeFailClosed(t *testing.T) {
	down, refused := codeProviderDown, codeRefused
	for sin, want := range map[string]string{
		"n_a": refused, "mac": refused, "dpop": refused, "no_token_type": refused, "empty_access": refused, "no_access": refused, "number_access": refused,
		"control_access": refused, "huge_access": refused, "negative_expires": refused, "word_expires_in": refused, "html": refused, "garbage": refused,
		"list": refused, "null": refused, "empty_body": refused, "oversize": refused, "other_sub": refused, "other_aud": refused, "expired": refused, "redirect": refused,
		"server_error": down, "bad_gateway": down, "unavailable": down, "too_many": down, "hang": down, "drop": down, "lost": down,
		"invalid_client": refused, "invalid_scope": refused, "invalid_target": refused, "unauthorized": refused, "unsupported_grant": refused, "denied": refused,
		"no_issued_type": refused, "refresh_issued_type": refused, "other_issued_type": refused, "number_issued_type": refused,
		"invalid_grant": "invalid_token",
		"no_expires_in": "", "zero_expires_in": "", "huge_expires_in": "", "refresh_token": "", "short": "",
	} {
		t.Run("P144 "+sin, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				s, alice := w.replica(orders).Source("orders"), w.person("alice")
				w.idp.Misbehave(idp.Named("exchange_" + sin).Always())
				c, err := s.Token(t.Context(), alice)
				switch want {
				case "":
					if err != nil || claims(t, raw(c))["sub"] != "8f2c-alice" || !c.Tokens.RefreshToken.IsZero() || c.Tokens.Expiry.After(alice.Tokens.Expiry) {
						t.Fatalf("%v", err)
					}
					return
				case "invalid_token":
					wantRefusal(t, err, want)
				default:
					wantPage(t, err, want)
				}
				if c != nil {
					t.Fatal("something came with the error")
				}
				if strings.Contains(err.Error(), alice.Tokens.AccessToken.Reveal()) {
					t.Error("S10: a token is in the error")
				}
				w.idp.Heal()
				time.Sleep(longestOutage)
				if got := claims(t, raw(token(t, s, w.person("alice")))); got["sub"] != "8f2c-alice" {
					t.Error("it does not recover")
				}
			})
		})
	}
}

func TestARefusalOfOneIsRememberedAndNeverAnothers(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s, alice := w.alone(orders).Source("orders"), w.person("alice")
		w.idp.Misbehave(idp.Named("exchange_invalid_grant").Always())
		_, first := s.Token(t.Context(), alice)
		one := wantRefusal(t, first, "invalid_token")
		for range 30 {
			_, err := s.Token(t.Context(), alice)
			again := wantRefusal(t, err, "invalid_token")
			if again == one || again.Description != one.Description || again.Error() != one.Error() {
				t.Fatal("it is another error, or shared so that whoever adds to it adds to everybody's")
			}
			again.Params = append(again.Params, [2]string{"x", "y"})
		}
		w.idp.Heal()
		if token(t, s, w.person("bob")); w.granted() != 2 {
			t.Errorf("%d requests", w.granted())
		}
		time.Sleep(leastRefusal - time.Second)
		if _, err := s.Token(t.Context(), alice); err == nil {
			t.Error("the refusal counts less than five seconds")
		}
		time.Sleep(leastRefusal)
		token(t, s, alice)
	})
}

func TestPausesGrowAndHonourRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &stub{life: time.Hour}
		said := &provider.Error{Kind: provider.Unavailable, Code: "rate_limited"}
		p.ask = func(context.Context, int64, string) (*provider.Response, error) { return nil, said }
		s := over(t, p, nil, backup).Source("backup")
		calls := func(d time.Duration) int64 {
			before := p.asked.Load()
			for range int(d / (250 * time.Millisecond)) {
				_, err := s.Token(t.Context(), nil)
				wantPage(t, err, codeProviderDown)
				time.Sleep(250 * time.Millisecond)
			}
			return p.asked.Load() - before
		}
		if n := calls(10 * time.Minute); n < 18 || n > 27 {
			t.Errorf("CC-4: %d calls in ten minutes", n)
		}
		said = &provider.Error{Kind: provider.Unavailable, Code: "rate_limited", RetryAfter: 2 * time.Minute}
		calls(time.Minute)
		if n := calls(30 * time.Second); n != 0 {
			t.Errorf("CC-4: %d calls before Retry-After has passed", n)
		}
		_, err := s.Token(t.Context(), nil)
		if e := wantPage(t, err, codeProviderDown); e.RetryAfter != 2*time.Minute {
			t.Errorf("Retry-After: %s", e.RetryAfter)
		}
	})
	if d := pauseAfter(&provider.Error{Kind: provider.Unavailable, Code: "unavailable", RetryAfter: 7 * 24 * time.Hour}, 1); d != longestOutage {
		t.Errorf("%s after an answer with a Retry-After of a week", d)
	}
	for row := 1; row < 100; row++ {
		for _, kind := range []provider.Kind{provider.Refused, provider.Misconfigured, provider.Misbehaved} {
			if d := pauseAfter(&provider.Error{Kind: kind}, row); d < leastRefusal || d > mostRefusal {
				t.Fatalf("%s after %d", d, row)
			}
		}
		if d := backOff(row); d < firstPause || d > mostPause+mostPause/4 {
			t.Fatalf("%s after %d", d, row)
		}
	}
}

func TestAProviderThatLimitsUsIsLeftAloneForEverybodysTokens(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		set := w.alone(orders, backup)
		kept := token(t, set.Source("backup"), nil)
		limited := idp.Named("too_many").On(idp.Token)
		w.idp.Misbehave(limited)
		_, err := set.Source("orders").Token(t.Context(), w.person("alice"))
		wait := wantPage(t, err, codeProviderDown).RetryAfter
		before := w.granted()
		_, err = set.Source("orders").Token(t.Context(), w.person("bob"))
		if wantPage(t, err, codeProviderDown); w.granted() != before {
			t.Error("CC-4: it is asked all the same")
		}
		if token(t, set.Source("backup"), nil) != kept {
			t.Error("what is cached is not served")
		}
		time.Sleep(wait + backOffMost)
		token(t, set.Source("orders"), w.person("bob"))
	})
}

const backOffMost = mostPause + mostPause/4

func TestOnBehalfOfSendsTheStepUpBackToTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wanted = `{"access_token":{"acrs":{"essential":true,"value":"c1"}}}`
		w := newWorld(t, func(c *idp.Config) { c.Clients[0].StepUpClaims = wanted })
		set := w.alone(Config{Name: "graph", Flow: "jwt_bearer", Provider: "corp", Dialect: "entra_obo", Scopes: []string{"api://graph/.default"}})
		c, err := set.Source("graph").Token(t.Context(), w.person("alice"))
		if c != nil {
			t.Fatal("a token came")
		}
		e := wantRefusal(t, err, credentials.InsufficientClaims)
		if len(e.Params) != 1 || e.Params[0][0] != "claims" || string(must(base64.StdEncoding.DecodeString(e.Params[0][1]))(t)) != wanted || e.Status() != 401 {
			t.Errorf("%+v", e.Params)
		}
		if q := w.idp.Last(idp.Token); q.Form.Get("requested_token_use") != "on_behalf_of" || q.Form.Get("scope") != "api://graph/.default" {
			t.Errorf("%v", q.Form)
		}
	})
}

func TestKeycloaksRulesReachTheOperatorAndNotTheCaller(t *testing.T) {
	for name, test := range map[string]struct {
		mode    idp.Exchange
		setting string
	}{
		"exchange is off":             {idp.KeycloakOff, "tandard token exchange"},
		"not in the token's audience": {idp.Keycloak, "audience"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, func(c *idp.Config) {
					c.Clients[0].Exchange = test.mode
					c.Clients = append(c.Clients, idp.Client{ID: "web", Secret: "w3b", RedirectURIs: []string{"https://web.test/"}})
				})
				alice := w.person("alice")
				alice.Tokens.AccessToken = secret.New(w.idp.MustMint(idp.Mint{Client: "web", User: "alice"}))
				_, err := w.alone(orders).Source("orders").Token(t.Context(), alice)
				e := wantPage(t, err, codeRefused)
				if !strings.Contains(e.Err.Error(), test.setting) || !strings.Contains(e.Err.Error(), "orders") || strings.Contains(e.Detail, test.setting) {
					t.Errorf("log: %v\npage: %s", e.Err, e.Detail)
				}
			})
		})
	}
}

func TestErrorsSayWhoMustAct(t *testing.T) {
	p := &stub{}
	set := over(t, p, nil, orders, backup)
	for name, test := range map[string]struct {
		source string
		said   provider.Error
		want   string
	}{
		"the session is over":        {"orders", provider.Error{Kind: provider.Refused, Code: "invalid_grant"}, "invalid_token"},
		"the person must come":       {"orders", provider.Error{Kind: provider.Refused, Code: "interaction_required"}, "invalid_token"},
		"and show more":              {"orders", provider.Error{Kind: provider.Refused, Code: "interaction_required", Claims: "{}"}, "insufficient_claims"},
		"an administrator's consent": {"orders", provider.Error{Kind: provider.Refused, Code: "consent_required"}, codeRefused},
		"the provider says no":       {"orders", provider.Error{Kind: provider.Refused, Code: "access_denied"}, codeRefused},
		"our own grant is refused":   {"backup", provider.Error{Kind: provider.Refused, Code: "invalid_grant"}, codeRefused},
		"a setting":                  {"orders", provider.Error{Kind: provider.Misconfigured, Code: "invalid_target"}, codeRefused},
		"nonsense":                   {"orders", provider.Error{Kind: provider.Misbehaved, Code: "bad_response"}, codeRefused},
		"an outage":                  {"backup", provider.Error{Kind: provider.Unavailable, Code: "timeout"}, codeProviderDown},
	} {
		err := set.Source(test.source).failure(&test.said)
		var refusal *credentials.Refusal
		var page *pages.Error
		got := ""
		if errors.As(err, &refusal) {
			got = refusal.Word
		} else if errors.As(err, &page) {
			got = page.Code
		}
		if got != test.want || !strings.Contains(err.Error(), test.said.Code) || !strings.Contains(err.Error(), test.source) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNoSecretIsInLogsOrErrors(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		robot := Config{Name: "robot", Flow: "password", Provider: "corp", Username: "bob", Password: must(canary())(t)}
		c := orders
		c.Actor = "backup"
		set := w.replica(c, backup, robot)
		alice := w.person("alice")
		var said []string
		note := func(err error) {
			if err != nil {
				said = append(said, fmt.Sprintf("%v %+v %#v", err, err, err))
			}
		}
		secrets := []string{idptest.Secret, robot.Password.Reveal(), alice.Tokens.AccessToken.Reveal()}
		for _, sin := range []string{"exchange_echoed", "exchange_garbage", "exchange_server_error", "client_credentials_echoed", "exchange_invalid_grant", ""} {
			if sin != "" {
				w.idp.Misbehave(idp.Named(sin))
			}
			got, err := set.Source("orders").Fresh(t.Context(), alice)
			if note(err); got != nil {
				secrets = append(secrets, raw(got), got.Values[0])
				said = append(said, fmt.Sprintf("%+v %+v", got.Tokens, *got.Tokens))
			}
			_, err = set.Source("robot").Token(t.Context(), nil)
			note(err)
			time.Sleep(time.Minute)
		}
		text := w.log.String() + strings.Join(said, "\n")
		for _, s := range secrets {
			if strings.Contains(text, s) {
				t.Errorf("S10: %.12s… is in a log or an error", s)
			}
		}
		if len(said) < 5 {
			t.Errorf("only %d errors were looked at", len(said))
		}
	})
}
