package identity_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

func TestS10ACredentialIsNotPrinted(t *testing.T) {
	const canary = "canary-7f3kq2"
	c := identity.Credential{Name: "orders", Header: "Authorization", Values: []string{"Bearer " + canary}, Tokens: &identity.Tokens{AccessToken: secret.New(canary)}}
	var out strings.Builder
	for _, v := range []any{c, &c, []identity.Credential{c}, map[string]*identity.Credential{"a": &c}, struct{ C *identity.Credential }{&c}} {
		fmt.Fprintf(&out, "%v %+v %#v %s %q %x", v, v, v, v, v, v)
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "c", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "c", v)
	}
	if strings.Contains(out.String(), canary) || strings.Contains(out.String(), fmt.Sprintf("%x", canary)) {
		t.Errorf("the token is shown:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "orders") {
		t.Error("not even the name is shown")
	}
}
