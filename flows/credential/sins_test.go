package credential

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// sins are all that demo/idp can do wrong at any grant, and those of one.
const (
	sins = "n_a mac dpop no_token_type empty_access no_access number_access control_access huge_access no_expires_in text_expires_in zero_expires_in " +
		"negative_expires huge_expires_in word_expires_in refresh_token other_scope html garbage list null empty_body created oversize server_error bad_gateway " +
		"unavailable too_many unauthorized slow hang drop lost redirect invalid_grant invalid_client invalid_scope invalid_target unsupported_grant denied echoed " +
		"other_sub no_sub other_aud no_aud other_iss expired no_exp short wrong_signature alg_none"
	exchangeSins = "no_issued_type refresh_issued_type other_issued_type number_issued_type other_act no_act not_in_audience audience_missing not_enabled invalid_token"
	oboSins      = "step_up step_up_grant step_up_garbage"
)

// TestP145WhateverAProviderDoesTheUpstreamGetsTheRightTokenOrNone holds for every sin at every grant what no answer may change.
func TestP145WhateverAProviderDoesTheUpstreamGetsTheRightTokenOrNone(t *testing.T) {
	obo := Config{Name: "obo", Flow: "jwt_bearer", Provider: "corp", Dialect: "entra_obo", Scopes: []string{"api://orders/.default"}}
	for _, test := range []struct {
		conf         Config
		prefix, list string
	}{
		{backup, "client_credentials_", sins + " off"},
		{orders, "exchange_", sins + " " + exchangeSins},
		{obo, "jwt_bearer_", sins + " " + oboSins},
	} {
		for _, sin := range strings.Fields(test.list) {
			t.Run(test.prefix+sin, func(t *testing.T) {
				inBubble(t, func(t *testing.T, w *world) {
					s, alice := w.replica(test.conf).Source(test.conf.Name), w.person("alice")
					w.idp.Misbehave(idp.Named(test.prefix + sin).Always())
					before := w.granted()
					for range 3 { // the second and third from a cache
						c, err := s.Token(t.Context(), alice)
						right(t, s, alice, c, err)
					}
					if n := w.granted() - before; n > 1 {
						t.Errorf("CC-4: %d requests", n)
					}
				})
			})
		}
	}
}

// right wants an answer that can go upstream, or an error that says nothing that is secret.
func right(t *testing.T, s *Source, who *identity.Identity, c *identity.Credential, err error) {
	t.Helper()
	own := who.Tokens.AccessToken.Reveal()
	var page *pages.Error
	var refusal *credentials.Refusal
	switch {
	case err != nil && c != nil:
		t.Fatal("something came with the error")
	case err != nil:
		if !errors.As(err, &page) && !errors.As(err, &refusal) {
			t.Fatalf("%T: %v", err, err)
		}
		if text := fmt.Sprintf("%v %+v", err, page); strings.Contains(text, own) || strings.Contains(text, idptest.Secret) {
			t.Error("S10: a secret is in the error")
		}
		return
	}
	if raw(c) == own || strings.Contains(c.Values[0], own) || c.Values[0] != "Bearer "+raw(c) || c.Header != "Authorization" || !c.Tokens.RefreshToken.IsZero() {
		t.Fatal("P145: it is not what was to be obtained")
	}
	if end := c.Tokens.Expiry; !end.After(time.Now()) || s.individual() && (end.After(who.Ends) || end.After(who.Tokens.Expiry)) {
		t.Errorf("P143: it ends %s", end)
	}
	var got struct{ Iss, Sub string }
	if _, rest, ok := strings.Cut(raw(c), "."); ok {
		body, _, _ := strings.Cut(rest, ".")
		text, _ := base64.RawURLEncoding.DecodeString(body)
		_ = json.Unmarshal(text, &got)
	}
	if s.individual() && got.Iss == corp && got.Sub != "" && got.Sub != who.Subject {
		t.Errorf("TX-6: it is about %s", got.Sub)
	}
}
