package idp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
)

// FuzzEndpoints throws bodies at every endpoint that takes one: nothing may panic or be an error of the server's.
func FuzzEndpoints(f *testing.F) {
	config := idptest.Standard(callback)
	everyFlow(&config)
	config.Issuer = "https://idp.test"
	key, err := idp.NewKey("ES256")
	if err != nil {
		f.Fatal(err)
	}
	config.Clients[1].CIBASigningAlg = "ES256"
	config.Clients[1].PublicKeys = append(config.Clients[1].PublicKeys, key.Public())
	config.HTTPClient = &http.Client{Transport: nowhere{}}
	s, err := idp.New(config)
	if err != nil {
		f.Fatal(err)
	}
	signed, err := s.SignJWT(nil, map[string]any{"iss": "ping", "aud": s.Issuer()}, "", "")
	if err != nil {
		f.Fatal(err)
	}
	minted := s.MustMint(idp.Mint{Client: "push", User: "alice", Claims: map[string]any{"act": "nobody", "may_act": 7, "aud": []any{1}}})
	for _, seed := range []string{
		"client_id=push&scope=openid&login_hint=alice&client_notification_token=" + notificationToken,
		"client_id=ping&request=" + signed, "client_id=push&scope=openid", "user_code=BCDF-GHJK&decision=allow",
		"client_id=push&grant_type=password&username=alice&password=x", "request=x&decision=deny", "client_id=push&login_hint_token=" + signed,
		"response_type=code+id_token+token&client_id=doorward&redirect_uri=" + callback, "%", "a=b&a=c", "",
		"client_id=push&grant_type=" + idp.GrantTokenExchange + "&subject_token=" + signed + "&subject_token_type=" + idp.TypeJWT + "&actor_token=x&actor_token_type=y",
		"client_id=push&grant_type=" + idp.GrantTokenExchange + "&subject_token=" + minted + "&subject_token_type=" + idp.TypeAccessToken + "&resource=a%23b&audience=",
		"client_id=push&grant_type=" + idp.GrantJWTBearer + "&assertion=" + minted + "&requested_token_use=on_behalf_of&scope=api%3A%2F%2Fx%2F.default",
		"client_id=push&grant_type=" + idp.GrantJWTBearer + "&assertion=" + signed, "client_id=push&grant_type=client_credentials&scope=%2F",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		for _, endpoint := range []string{idp.Authorize, idp.Login, idp.Consent, idp.Token, idp.Device, idp.DeviceVerification, idp.CIBA, idp.Phone} {
			r := httptest.NewRequest(http.MethodPost, s.URL(endpoint), strings.NewReader(body))
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code >= 500 {
				t.Errorf("%s: %d %s", endpoint, w.Code, w.Body)
			}
		}
		s.ResetRequests()
	})
}

// nowhere is a network without hosts.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }
