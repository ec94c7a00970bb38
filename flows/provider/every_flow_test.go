package provider_test

import (
	"crypto"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/testnet"
)

const notifyURI = "http://app.test/notify"

// visitingEvery is visiting, at a provider that speaks every flow.
func visitingEvery(t *testing.T, change func(*idp.Config), settings func(*provider.Config)) *visit {
	return visiting(t, func(c *idp.Config) {
		every := idptest.Every(callbackURI).Clients[0]
		c.Clients[0].Grants, c.Clients[0].ResponseTypes = every.Grants, every.ResponseTypes
		if change != nil {
			change(c)
		}
	}, settings)
}

var another = provider.Expect{Login: "tv", NoNonce: true} // device

func TestADeviceLoginFromEndToEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *rogue) {
		v := visitingEvery(t, nil, nil)
		ctx, verifier := t.Context(), provider.NewVerifier()
		d, err := v.client.DeviceAuthorization(ctx, provider.DeviceRequest{Verifier: verifier})
		if err != nil {
			t.Fatal(err)
		}
		if d.Interval != 5*time.Second || d.ExpiresIn != 10*time.Minute || !strings.Contains(d.VerificationURIComplete, d.UserCode) {
			t.Errorf("DEV-2: %+v", d)
		}
		poll := func() (*provider.Response, error) { return v.client.DeviceToken(ctx, d.DeviceCode, verifier) }
		time.Sleep(5 * time.Second)
		_, err = poll()
		wants(t, err, provider.Refused, "authorization_pending")
		time.Sleep(time.Second)
		_, err = poll()
		wants(t, err, provider.Refused, "slow_down")
		if err := v.ApproveDevice(d.UserCode, "alice"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		_, err = v.client.DeviceToken(ctx, d.DeviceCode, provider.NewVerifier())
		wants(t, err, provider.Refused, "invalid_grant") // DEV-3: the verifier of another login
		time.Sleep(10 * time.Second)
		r, err := poll()
		if err != nil {
			t.Fatal(err)
		}
		who, err := v.client.Identify(ctx, r, another)
		if err != nil || who.Subject != "8f2c-alice" || who.Login != "tv" || who.Email != "alice@example.com" {
			t.Fatalf("%+v %v", who, err)
		}
		if next, err := v.client.Refresh(ctx, who); err != nil || next.Subject != who.Subject {
			t.Errorf("REF-1: %v", err)
		}
		time.Sleep(10 * time.Second)
		_, err = poll()
		wants(t, err, provider.Refused, "invalid_grant")
		for _, s := range []string{d.DeviceCode.Reveal(), verifier.Reveal(), r.AccessToken.Reveal()} {
			if strings.Contains(v.log.String(), s) {
				t.Error("TOK-8: a secret in the log")
			}
		}
	})
}

func TestADeviceLoginThatIsDeniedOrExpires(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *rogue) {
		v := visitingEvery(t, nil, nil)
		d := must(v.client.DeviceAuthorization(t.Context(), provider.DeviceRequest{}))
		if err := v.DenyDevice(d.UserCode); err != nil {
			t.Fatal(err)
		}
		_, err := v.client.DeviceToken(t.Context(), d.DeviceCode, secret.String{})
		wants(t, err, provider.Refused, "access_denied")
		d = must(v.client.DeviceAuthorization(t.Context(), provider.DeviceRequest{}))
		time.Sleep(d.ExpiresIn)
		_, err = v.client.DeviceToken(t.Context(), d.DeviceCode, secret.String{})
		wants(t, err, provider.Refused, "expired_token")
	})
}

func TestACIBALoginFromEndToEnd(t *testing.T) {
	key := newKey()
	for name, signed := range map[string]bool{"plain": false, "CIB-4 signed": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v := visitingEvery(t, func(c *idp.Config) {
					c.Users[0].CIBAUserCode = "4711"
					if signed {
						c.Clients[0].CIBASigningAlg, c.Clients[0].PublicKeys = "ES256", []crypto.PublicKey{key.Public()}
					}
				}, func(c *provider.Config) { c.ClientAuth, c.PrivateKeyPEM = "client_secret_basic", pkcs8(key) })
				ctx := t.Context()
				ask := provider.CIBARequest{Hint: "login_hint", HintValue: secret.New("alice"), BindingMessage: "W4SCT", UserCode: secret.New("4711"), RequestedExpiry: time.Minute, ACRValues: []string{"1"}, Signed: signed}
				k, err := v.client.BackchannelAuthentication(ctx, ask)
				if err != nil {
					t.Fatal(err)
				}
				if k.ExpiresIn != time.Minute || k.Interval != 5*time.Second {
					t.Errorf("CIB-5: %+v", k)
				}
				on := v.PendingCIBA("alice")
				if len(on) != 1 || on[0].BindingMessage != "W4SCT" || on[0].ACRValues != "1" {
					t.Fatalf("CIB-2: on the phone: %+v", on)
				}
				_, err = v.client.CIBAToken(ctx, k.AuthReqID)
				wants(t, err, provider.Refused, "authorization_pending")
				if _, err := v.ApproveCIBA(ctx, on[0].ID); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				r, err := v.client.CIBAToken(ctx, k.AuthReqID)
				if err != nil {
					t.Fatal(err)
				}
				who, err := v.client.Identify(ctx, r, another)
				if err != nil || who.Subject != "8f2c-alice" {
					t.Fatalf("CIB-11: %+v %v", who, err)
				}
				ask.Hint, ask.HintValue = "id_token_hint", r.IDToken
				must(v.client.BackchannelAuthentication(ctx, ask))
				ask.Hint, ask.HintValue = "login_hint_token", secret.New(must(v.LoginHintToken("alice", time.Minute)))
				must(v.client.BackchannelAuthentication(ctx, ask))
				for code, wrong := range map[string]func(*provider.CIBARequest){
					"unknown_user_id":          func(q *provider.CIBARequest) { q.Hint, q.HintValue = "login_hint", secret.New("nobody") },
					"missing_user_code":        func(q *provider.CIBARequest) { q.UserCode = secret.String{} },
					"invalid_user_code":        func(q *provider.CIBARequest) { q.UserCode = secret.New("0815") },
					"invalid_binding_message":  func(q *provider.CIBARequest) { q.BindingMessage = "with spaces" },
					"expired_login_hint_token": func(q *provider.CIBARequest) { q.HintValue = secret.New(must(v.LoginHintToken("alice", -time.Hour))) },
				} {
					q := ask
					wrong(&q)
					_, err := v.client.BackchannelAuthentication(ctx, q)
					wants(t, err, provider.Refused, code)
				}
			})
		})
	}
}

// pushed is a login at a provider that pushes, up to what arrived.
func pushed(t *testing.T, sins ...idp.Sin) (*visit, *provider.CIBAAnswer, []byte) {
	n := testnet.NewFor(t)
	var mu sync.Mutex
	var bodies [][]byte
	n.Serve(t, "app.test:80", http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		mu.Lock()
		defer mu.Unlock()
		bodies = append(bodies, body)
		w.WriteHeader(http.StatusNoContent)
	}))
	v := visitingEvery(t, func(c *idp.Config) {
		c.Clients[0].CIBADelivery, c.Clients[0].NotificationEndpoint, c.HTTPClient = "push", notifyURI, n.Client()
	}, nil)
	k := must(v.client.BackchannelAuthentication(t.Context(), provider.CIBARequest{
		Hint: "login_hint", HintValue: secret.New("alice"), NotificationToken: secret.New("notification-token-of-160-bits-0123456789"),
	}))
	v.Misbehave(sins...)
	if _, err := v.ApproveCIBA(t.Context(), v.PendingCIBA("alice")[0].ID); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(bodies) != 1 {
		t.Fatalf("%d pushes", len(bodies))
	}
	return v, k, bodies[0]
}

func TestAPushFromEndToEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *rogue) {
		v, k, body := pushed(t)
		id, r, err := v.client.ReadPush(body)
		if err != nil || id != k.AuthReqID.Reveal() {
			t.Fatalf("CIB-10: %v", err)
		}
		who, err := v.client.Identify(t.Context(), r, provider.Expect{Login: "phone", NoNonce: true, Pushed: id})
		if err != nil || who.Subject != "8f2c-alice" {
			t.Fatalf("%+v %v", who, err)
		}
		if _, err := v.client.Refresh(t.Context(), who); err != nil {
			t.Errorf("REF-1: %v", err)
		}
	})
}

// TestP164SinsOfAPush goes through the provider's catalogue of what it can push.
func TestP164SinsOfAPush(t *testing.T) {
	for sin, code := range map[string]string{
		"push_wrong_id_claim": "bad_auth_req_id", "push_no_id_claim": "bad_auth_req_id", "push_wrong_at_hash": "bad_at_hash", "push_no_at_hash": "bad_at_hash",
		"push_wrong_rt_hash": "bad_rt_hash", "push_no_rt_hash": "bad_rt_hash", "push_wrong_aud": "bad_audience", "push_wrong_iss": "bad_issuer", "push_no_sub": "bad_subject",
		"push_expired": "token_expired", "push_wrong_signature": "bad_signature", "push_alg_none": "bad_signature", "push_hs256_secret": "bad_alg", "push_no_id_token": "id_token_missing",
		"push_no_access": "bad_response", "push_no_token_type": "bad_response", "push_error_and_tokens": "bad_response", "push_error": "transaction_failed", "push_expired_token": "expired_token",
	} {
		t.Run(sin, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v, k, body := pushed(t, idp.Named(sin))
				_, r, err := v.client.ReadPush(body)
				if err == nil {
					_, err = v.client.Identify(t.Context(), r, provider.Expect{NoNonce: true, Pushed: k.AuthReqID.Reveal()})
				}
				kind := provider.Misbehaved
				if code == "transaction_failed" || code == "expired_token" {
					kind = provider.Refused
				}
				wants(t, err, kind, code)
			})
		})
	}
}

func TestAPasswordLoginFromEndToEnd(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *rogue) {
		v := visitingEvery(t, func(c *idp.Config) { c.Users[1].OTP = "123456" }, nil)
		ask := func(user, password string, extra url.Values) (*provider.Response, error) {
			return v.client.Password(t.Context(), provider.PasswordRequest{Username: user, Password: secret.New(password), Extra: extra})
		}
		r, err := ask("alice", "alice", nil)
		if err != nil {
			t.Fatal(err)
		}
		who, err := v.client.Identify(t.Context(), r, provider.Expect{Login: "git", NoNonce: true})
		if err != nil || who.Subject != "8f2c-alice" || who.Email != "alice@example.com" {
			t.Fatalf("%+v %v", who, err)
		}
		if _, err := v.client.Refresh(t.Context(), who); err != nil {
			t.Errorf("REF-1: %v", err)
		}
		wrong := func(user, password string, extra url.Values) string {
			_, err := ask(user, password, extra)
			return wants(t, err, provider.Refused, "invalid_grant").Error()
		}
		if known, unknown := wrong("alice", "guess", nil), wrong("mallory", "guess", nil); known != unknown {
			t.Errorf("P174: %q and %q", known, unknown)
		}
		wrong("bob", "bob", nil)
		if r, err := ask("bob", "bob", url.Values{"totp": {"123456"}}); err != nil || r.IDToken.IsZero() {
			t.Errorf("a second factor: %v", err)
		}
	})
}

// TestFrontChannelLoginsFromEndToEnd: every response type that brings a token through the browser.
func TestFrontChannelLoginsFromEndToEnd(t *testing.T) {
	for _, responseType := range []string{"id_token", "id_token token", "code id_token", "code token", "code id_token token"} {
		t.Run(responseType, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v := visitingEvery(t, nil, func(c *provider.Config) { c.UserInfo = "always" })
				answer, verifier := v.front(responseType)
				got, err := v.client.FrontChannel(answer)
				if err != nil {
					t.Fatal(err)
				}
				words := strings.Fields(responseType)
				if words[0] != "code" {
					who, err := v.client.Identify(t.Context(), got, provider.Expect{Login: "spa", Nonce: "N", FrontChannel: true})
					if err != nil || who.Subject != "8f2c-alice" || who.Email != "alice@example.com" {
						t.Fatalf("%+v %v", who, err)
					}
					return
				}
				if !got.IDToken.IsZero() {
					front, err := v.client.VerifyFront(t.Context(), got, provider.Expect{Nonce: "N", Code: secret.New(answer.Get("code")), State: "S"})
					if err != nil || front.Subject != "8f2c-alice" || front.Issuer != v.Issuer() {
						t.Fatalf("%+v %v", front, err)
					}
				} else if strings.Contains(responseType, "id_token") {
					t.Fatal("IMP-8: no ID token")
				}
				r, err := v.client.Grant(t.Context(), url.Values{
					"grant_type": {"authorization_code"}, "code": {answer.Get("code")}, "redirect_uri": {callbackURI}, "code_verifier": {verifier.Reveal()},
				})
				if err != nil {
					t.Fatal(err)
				}
				who, err := v.client.Identify(t.Context(), r, provider.Expect{Login: "hybrid", Nonce: "N", Code: secret.String{}})
				if err != nil || who.Subject != "8f2c-alice" {
					t.Fatalf("IMP-7: %+v %v", who, err)
				}
			})
		})
	}
}

// front signs alice in and returns what the browser would bring in the fragment.
func (v *visit) front(responseType string) (url.Values, secret.String) {
	v.t.Helper()
	verifier := provider.NewVerifier()
	to, err := v.client.AuthorizationURL(v.t.Context(), provider.AuthorizationRequest{
		RedirectURI: callbackURI, State: "S", Nonce: "N", CodeChallenge: provider.Challenge(verifier), ResponseType: responseType, ResponseMode: "fragment",
	})
	if err != nil {
		v.t.Fatal(err)
	}
	page := v.browser.Open(v.t, to)
	if page.Status == 200 {
		page = page.SignIn(v.t, "alice", "alice")
	}
	u := must(url.Parse(page.Hops[len(page.Hops)-1].Location))
	return must(url.ParseQuery(u.Fragment)), verifier
}

// TestSinsInTheFrontChannel goes through the provider's catalogue, for code id_token token.
func TestSinsInTheFrontChannel(t *testing.T) {
	for sin, code := range map[string]string{
		"front_two_id_tokens": "bad_response", "front_two_access": "bad_response", "front_no_token_type": "bad_response", "front_mac_token": "bad_response", "front_no_expires_in": "",
		"front_negative_expires": "bad_response", "front_huge_expires": "", "front_refresh_token": "bad_response", "front_garbage_token": "malformed_token",
		"front_huge_token": "malformed_token", "front_no_id_token": "id_token_missing", "front_wrong_at_hash": "bad_at_hash", "front_missing_at_hash": "bad_at_hash",
		"front_wrong_c_hash": "bad_c_hash", "front_missing_c_hash": "bad_c_hash", "front_number_c_hash": "bad_c_hash", "front_wrong_s_hash": "bad_s_hash", "front_missing_s_hash": "",
		"front_wrong_nonce": "bad_nonce", "front_missing_nonce": "bad_nonce", "front_wrong_aud": "bad_audience", "front_wrong_iss": "bad_issuer", "front_missing_sub": "bad_subject",
		"front_expired": "token_expired", "front_alg_none": "bad_signature", "front_alg_hs256_secret": "bad_alg", "front_wrong_signature": "bad_signature", "front_empty_signature": "bad_signature",
	} {
		t.Run(sin, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v := visitingEvery(t, nil, nil)
				v.Misbehave(idp.Named(sin))
				answer, _ := v.front("code id_token token")
				got, err := v.client.FrontChannel(answer)
				if err == nil {
					_, err = v.client.VerifyFront(t.Context(), got, provider.Expect{Nonce: "N", Code: secret.New(answer.Get("code")), State: "S"})
				}
				if code == "" && err != nil {
					t.Fatal(err)
				}
				if code != "" {
					wants(t, err, provider.Misbehaved, code)
				}
				if n := v.Count(idp.Token); n != 0 {
					t.Errorf("IMP-6: %d token requests", n)
				}
			})
		})
	}
}

// TestSinsOfWaitingLogins goes through the provider's catalogue for both flows that wait: its
// first answer, and its answers to polls.
func TestSinsOfWaitingLogins(t *testing.T) {
	first := map[string]string{
		"interval_missing": "", "interval_zero": "", "interval_negative": "", "interval_huge": "", "interval_string": "", "interval_float": "", "expires_missing": "bad_response",
		"expires_zero": "bad_response", "expires_negative": "bad_response", "expires_huge": "", "expires_string": "", "expires_null": "bad_response", "twice": "bad_response",
	}
	polls := map[string]string{
		"pending": "authorization_pending", "pending_428": "authorization_pending", "pending_200": "authorization_pending", "slow_down": "slow_down", "slow_down_403": "slow_down",
		"slow_down_200": "slow_down", "slow_down_huge": "slow_down", "slow_down_negative": "slow_down", "denied": "access_denied", "denied_403": "access_denied", "denied_200": "access_denied",
		"expired_token": "expired_token", "invalid_grant": "invalid_grant", "unknown_error": "the_dog_ate_it", "error_and_tokens": "access_denied", "poll_html": "server_error",
		"poll_drop": "unreachable", "poll_lost": "unreachable",
	}
	all := map[string]string{
		"device_no_code": "bad_response", "device_huge_code": "too_large", "device_no_user_code": "bad_response", "device_number_code": "bad_response", "device_no_uri": "bad_response",
		"device_url_for_uri": "", "device_no_complete_uri": "", "device_message": "", "device_declined": "access_denied", "device_bad_code": "invalid_grant", "device_unsupported": "unauthorized_client",
		"ciba_no_id": "bad_response", "ciba_empty_id": "bad_response", "ciba_number_id": "bad_response", "ciba_huge_id": "too_large", "ciba_control_id": "bad_response",
		"ciba_keycloak_unknown": "unknown_user_id", "ciba_refused_403": "access_denied", "ciba_transaction_failed": "transaction_failed",
	}
	for _, text := range []string{"markup", "huge", "rtl", "control", "empty"} {
		all["device_user_code_"+text] = "bad_response"
	}
	for _, uri := range []string{"javascript", "data", "http", "userinfo", "file", "relative", "scheme_relative", "huge", "control", "markup", "rtl", "tel"} {
		all["device_uri_"+uri], all["device_complete_"+uri] = "bad_response", "dropped"
	}
	for _, code := range []string{
		"invalid_request", "invalid_scope", "expired_login_hint_token", "unknown_user_id", "unauthorized_client", "missing_user_code", "invalid_user_code", "invalid_binding_message", "invalid_client",
	} {
		all["ciba_request_"+code] = code
	}
	for _, flow := range []string{"device_", "ciba_"} {
		for sin, code := range first {
			all[flow+sin] = code
		}
		for sin, code := range polls {
			all[flow+sin] = code
		}
	}
	for sin, code := range all {
		t.Run(sin, func(t *testing.T) {
			inBubble(t, func(t *testing.T, _ *rogue) {
				v := visitingEvery(t, nil, nil)
				v.Misbehave(idp.Named(sin))
				life, interval, complete, err := v.waits(strings.HasPrefix(sin, "device_"))
				switch {
				case code == "" || code == "dropped":
					if err != nil {
						t.Fatal(err)
					}
					if interval < time.Second || interval > time.Minute || life < time.Second || life > 30*time.Minute {
						t.Errorf("S16: %s, every %s", life, interval)
					}
					if code == "dropped" && complete != "" {
						t.Errorf("P159: %q would be shown", complete)
					}
				default:
					if e, ok := err.(*provider.Error); !ok || e.Code != code {
						t.Fatalf("%v, want %s", err, code)
					} else if e.Interval < 0 || e.Interval > time.Minute {
						t.Errorf("S16: interval %s", e.Interval)
					}
				}
				if n := v.Count(idp.Token); n > 1 {
					t.Errorf("DEV-6: %d token requests", n)
				}
			})
		})
	}
}

// waits begins a login, approves it and polls once.
func (v *visit) waits(device bool) (life, interval time.Duration, complete string, err error) {
	ctx := v.t.Context()
	if device {
		d, err := v.client.DeviceAuthorization(ctx, provider.DeviceRequest{})
		if err != nil {
			return 0, 0, "", err
		}
		if err := v.ApproveDevice(v.PendingDevices()[0].UserCode, "alice"); err != nil {
			v.t.Fatal(err)
		}
		_, err = v.client.DeviceToken(ctx, d.DeviceCode, secret.String{})
		return d.ExpiresIn, d.Interval, d.VerificationURIComplete, err
	}
	k, err := v.client.BackchannelAuthentication(ctx, provider.CIBARequest{Hint: "login_hint", HintValue: secret.New("alice")})
	if err != nil {
		return 0, 0, "", err
	}
	if _, err := v.ApproveCIBA(ctx, v.PendingCIBA("alice")[0].ID); err != nil {
		v.t.Fatal(err)
	}
	_, err = v.client.CIBAToken(ctx, k.AuthReqID)
	return k.ExpiresIn, k.Interval, "", err
}
