package identity_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

func TestClaimsAreFoundByNameByPathAndByNameWithDots(t *testing.T) {
	c := identity.NewClaims([]byte(`{"sub":"a","n":12345678901234567890,"realm_access":{"roles":["x","",3,true,{"no":1}]},
		"https://example.com/roles":["r"],"a.b":{"c.d":"deep"},"empty":[""],"nothing":null}`))
	for path, want := range map[string][]string{
		"sub": {"a"}, "n": {"12345678901234567890"}, "realm_access.roles": {"x", "3", "true"},
		"https://example.com/roles": {"r"}, "a.b.c.d": {"deep"}, "empty": nil, "nothing": nil, "missing": nil, "realm_access": nil, "sub.x": nil,
	} {
		if got := c.Strings(path); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %v, want %v", path, got, want)
		}
	}
}

func TestClaimsThatAreNoObjectAreEmpty(t *testing.T) {
	for _, raw := range []string{"", "null", "[1]", `"x"`, "{"} {
		if got := identity.NewClaims([]byte(raw)).Map(); len(got) != 0 {
			t.Errorf("%q: %v", raw, got)
		}
	}
	var none *identity.Claims
	if _, ok := none.Lookup("x"); ok || string(none.Raw()) != "{}" {
		t.Error("no claims at all must behave like an empty object")
	}
}

func TestMemoBuildsOnce(t *testing.T) {
	who, calls, key := &identity.Identity{}, 0, new(int)
	for range 3 {
		who.Memo(key, func() any { calls++; return "v" })
	}
	if calls != 1 {
		t.Errorf("built %d times", calls)
	}
}

func TestTokenValidity(t *testing.T) {
	now := time.Unix(1e9, 0)
	tok := &identity.Tokens{AccessToken: secret.New("x"), Expiry: now.Add(time.Minute)}
	if !tok.Valid(now, 30*time.Second) || tok.Valid(now, time.Minute) || (*identity.Tokens)(nil).Valid(now, 0) || (&identity.Tokens{Expiry: now.Add(time.Hour)}).Valid(now, 0) {
		t.Error("validity does not follow the expiry")
	}
}
