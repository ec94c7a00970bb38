package provider_test

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

func TestSomebodyWithoutTokensCanBeSupposed(t *testing.T) {
	c := newRogue(t).client()
	who, err := c.Suppose([]byte(`{"sub":"alice","scope":"read"}`), "", nil)
	if err != nil || who.Subject != "alice" || who.Tokens != nil || strings.Join(who.Scopes, " ") != "read" {
		t.Errorf("%+v, %v", who, err)
	}
}

func TestATokenOfAnotherThanTheClaimsIsToldApart(t *testing.T) {
	r := newRogue(t)
	jwt := func(claims string) secret.String { return secret.New("e30." + b64([]byte(claims)) + ".c2ln") }
	suppose := func(c *provider.Client, claims string) *identity.Identity {
		return must(c.Suppose([]byte(claims), "", nil))
	}
	own := r.client()
	iss := own.Issuer()
	if err := own.SamePerson(jwt(`{"iss":"`+iss+`","sub":"bob"}`), suppose(own, `{"sub":"alice"}`)); err == nil || !strings.Contains(err.Error(), `sub "bob"`) || !strings.Contains(err.Error(), `sub "alice"`) {
		t.Errorf("%v", err)
	}
	entra := r.at(atEntra)
	for name, err := range map[string]error{
		"the same":                   own.SamePerson(jwt(`{"iss":"`+iss+`","sub":"alice"}`), suppose(own, `{"sub":"alice"}`)),
		"opaque":                     own.SamePerson(secret.New("opaque"), suppose(own, `{"sub":"alice"}`)),
		"of another issuer":          own.SamePerson(jwt(`{"iss":"https://other.example","sub":"7"}`), suppose(own, `{"sub":"alice"}`)),
		"Entra's sub of two clients": entra.SamePerson(jwt(`{"iss":"`+atEntra+`","sub":"1","oid":"o"}`), suppose(entra, `{"sub":"2","oid":"o"}`)),
	} {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
