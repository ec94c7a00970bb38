package config

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/flows"
)

// login is minimal with a login of a flow, which the route offers.
func login(flow, keys string) string {
	return minimal + "login = [\"x\"]\n[login.x]\nflow = \"" + flow + "\"\n" + keys
}

func TestEveryFlowHasTheDefaultsOfTheContract(t *testing.T) {
	for flow, want := range map[string]flows.Login{
		"authorization_code": {},
		"implicit":           {ResponseType: "id_token", ResponseMode: "form_post"},
		"hybrid":             {ResponseType: "code id_token", ResponseMode: "form_post"},
		"device":             {},
		"ciba":               {Delivery: "poll", Hint: "login_hint", BindingMessage: "auto"},
	} {
		want.Name, want.Label, want.Provider, want.Flow = "x", "x", "corp", flow
		got := given{toml: login(flow, "")}.mustLoad(t).Flows().Logins
		if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
			t.Errorf("%s: %+v\nwant %+v", flow, got, want)
		}
	}
	got := given{toml: login("password", "form = true\notp = \"totp\"\nmax_failures = 3\n")}.mustLoad(t).Flows().Logins[0]
	if want := (flows.Login{Name: "x", Label: "x", Provider: "corp", Flow: "password", Form: true, OTP: "totp", MaxFailures: 3}); !reflect.DeepEqual(got, want) {
		t.Errorf("password: %+v\nwant %+v", got, want)
	}
	got = given{toml: login("ciba", "delivery = \"ping\"\nhint = \"id_token_hint\"\nbinding_message = \"TILL-{code}\"\nacr_values = [\"gold\"]\nrequested_expiry = \"90s\"\nuser_code = true\nscopes = [\"openid\"]\n")}.mustLoad(t).Flows().Logins[0]
	if got.Delivery != "ping" || got.Hint != "id_token_hint" || got.BindingMessage != "TILL-{code}" || got.RequestedExpiry != 90*time.Second || !got.UserCode || !slices.Equal(got.ACRValues, []string{"gold"}) || !slices.Equal(got.Scopes, []string{"openid"}) {
		t.Errorf("ciba: %+v", got)
	}
}

func TestKeysOfAnotherFlowAreRefused(t *testing.T) {
	for name, b := range map[string]broken{
		"response_type of device":       {login("device", "response_type = \"id_token\"\n"), `"id_token"`, "it belongs to the flow implicit or hybrid, and this login's is device"},
		"form of ciba":                  {login("ciba", "form = true\n"), "true", "belongs to the flow password"},
		"delivery of code":              {login("authorization_code", "delivery = \"ping\"\n"), `"ping"`, "belongs to the flow ciba"},
		"code in implicit":              {login("implicit", "response_type = \"code token\"\n"), `"code token"`, "with a code it is hybrid"},
		"no code in hybrid":             {login("hybrid", "response_type = \"id_token\"\n"), `"id_token"`, "without it is implicit"},
		"token alone":                   {login("implicit", "response_type = \"token\"\n"), `"token"`, "is none of"},
		"query as response mode":        {login("implicit", "response_mode = \"query\"\n"), `"query"`, `none of "form_post", "fragment"`},
		"too many failures":             {login("password", "form = true\nmax_failures = 31\n"), "31", "from 1 to 30"},
		"half a failure":                {login("password", "form = true\nmax_failures = 1.5\n"), "1.5", "from 1 to 30"},
		"failures in words":             {login("password", "form = true\nmax_failures = \"five\"\n"), `"five"`, "a number is wanted here"},
		"a message that is too long":    {login("ciba", "binding_message = \""+strings.Repeat("x", 60)+"{code}\"\n"), `"` + strings.Repeat("x", 60), "binding_message"},
		"misspelt flow":                 {login("devise", ""), `"devise"`, `did you mean "device"?`},
		"expiry without a unit":         {login("ciba", "requested_expiry = 120\n"), "120", "a duration in quotes"},
		"absurd expiry":                 {login("ciba", "requested_expiry = \"24h\"\n"), `"24h"`, "too long"},
		"a reserved parameter":          {login("authorization_code", "pass_params = [\"redirect_uri\"]\n"), `"redirect_uri"`, "not for visitors"},
		"rd as a parameter":             {login("authorization_code", "pass_params = [\"rd\"]\n"), `"rd"`, "not for visitors"},
		"a parameter that is set":       {login("authorization_code", "params = { kc_idp_hint = \"a\" }\npass_params = [\"kc_idp_hint\"]\n"), `"kc_idp_hint"`, "stands in params already"},
		"signed without a key":          {login("ciba", "signed_request = true\n"), "true", "no private_key"},
		"scopes without openid":         {login("device", "scopes = [\"profile\"]\n"), "scopes", "openid"},
		"device without its endpoint":   {strings.Replace(login("device", ""), "client_id", "discovery = false\nauthorization_endpoint = \"https://sso.example.com/a\"\ntoken_endpoint = \"https://sso.example.com/t\"\njwks_uri = \"https://sso.example.com/k\"\nclient_id", 1), "corp]", `device_authorization_endpoint: needed without discovery: login "x" asks there`},
		"form_post in the clear":        {strings.Replace(login("implicit", ""), `"app.example.com"`, "\"http://app.example.com\"\ninsecure_http = true", 1), "login = ", `response_mode = "fragment"`},
		"no access token to send":       {strings.Replace(login("implicit", ""), "login = ", "credential = \"session\"\nlogin = ", 1), `"session"`, `login "x" gets none`},
		"no login by default":           {minimal + "[login.x]\nflow = \"device\"\n", "route]]", `every login here acts only where a route names it; name those that may be used: login = ["x"]`},
		"basic without a password":      {minimal + "accept = [\"basic\"]\n", "accept", "exactly one login of the flow password"},
		"basic with two of them":        {login("password", "form = true\n[login.y]\nflow = \"password\"\n") + strings.Replace(minimal[strings.Index(minimal, "[[route]]"):], `"app"`, "\"git\"\npath = \"/git\"\nlogin = [\"x\", \"y\"]\naccept = [\"basic\"]", 1), "accept", "there are 2"},
		"a password login of no use":    {login("password", ""), "login = ", "form = true"},
		"basic that is passed on":       {strings.Replace(login("password", ""), "login = ", "accept = [\"basic\"]\npass_authorization = true\nlogin = ", 1), "accept", "what was tried here goes no further"},
		"accept nothing":                {minimal + "accept = []\n", "accept", "nobody could pass"},
		"accept twice":                  {minimal + "accept = [\"session\", \"session\"]\n", `"session"]`, "twice"},
		"accept something else":         {minimal + "accept = [\"sesion\"]\n", `"sesion"`, `did you mean "session"?`},
		"tickets without a store":       {minimal + "accept = [\"session\", \"token\"]\n[sessions]\nstore = \"cookie\"\nkeys = [\"" + testKey + "\"]\n", "accept", "there are no tickets"},
		"approve without a message":     {approve("login = \"phone\""), "approve", "binding_message: it is missing"},
		"approve by another flow":       {strings.Replace(approve("login = \"phone\"\nbinding_message = '\"x\"'"), `"ciba"`, `"device"`, 1), `"phone"`, "no login of the flow ciba"},
		"approve by a token":            {strings.Replace(approve("login = \"phone\"\nbinding_message = '\"x\"'"), `"ciba"`, "\"ciba\"\nhint = \"login_hint_token\"", 1), `"phone"`, "which a request does not bring"},
		"approve by a user code":        {strings.Replace(approve("login = \"phone\"\nbinding_message = '\"x\"'"), `"ciba"`, "\"ciba\"\nuser_code = true", 1), `"phone"`, "no form for that"},
		"approve with a size in words":  {approve("binding_message = '\"x\"'\nmax_body = \"64 kilobytes\""), `"64 kilobytes"`, "no unit"},
		"approve with a size too large": {approve("binding_message = '\"x\"'\nmax_body = \"1GiB\""), `"1GiB"`, "not possible here"},
		"approve nothing":               {approve("binding_message = '\"x\"'\nmethods = []"), "methods", "nothing would need an approval"},
		"approve for ever":              {approve("binding_message = '\"x\"'\nexpires = \"24h\""), `"24h"`, "too long"},
	} {
		t.Run(name, b.check)
	}
}

// approve is minimal with requests that need an approval by a login called phone.
func approve(keys string) string {
	return minimal + "login = [\"staff\"]\n[login.staff]\nflow = \"authorization_code\"\n[login.phone]\nflow = \"ciba\"\n" +
		"[[route]]\nname = \"pay\"\nhost = \"app.example.com\"\npath = \"/payments\"\nlogin = [\"staff\"]\nupstream = [\"http://127.0.0.1:3000\"]\n[route.approve]\n" + keys + "\n"
}

func TestAnApprovalHasTheDefaultsOfTheContract(t *testing.T) {
	a := given{toml: approve(`binding_message = '"PAY-" + form.amount'`)}.mustLoad(t).Proxy().Routes[1].Approve
	if a == nil || a.Login != "phone" || a.MaxBody != 64<<10 || a.Expires != 2*time.Minute || !slices.Equal(a.Methods, []string{"POST", "PUT", "PATCH", "DELETE"}) || a.BindingMessage != `"PAY-" + form.amount` {
		t.Errorf("%+v", a)
	}
}

func TestWeakLoginsActOnlyWhereARouteNamesThem(t *testing.T) {
	toml := minimal + "[login.staff]\nflow = \"authorization_code\"\n[login.mix]\nflow = \"hybrid\"\n[login.tv]\nflow = \"device\"\n[login.spa]\nflow = \"implicit\"\n[login.phone]\nflow = \"ciba\"\n[login.legacy]\nflow = \"password\"\nform = true\n"
	c := given{toml: toml}.mustLoad(t)
	if got := c.Proxy().Routes[0].Logins; !slices.Equal(got, []string{"staff", "mix"}) {
		t.Errorf("a route that names none offers %q", got)
	}
	for _, name := range []string{"tv", "spa", "phone", "legacy"} {
		if !hasWarning(c, "login."+name, "no route offers it") {
			t.Errorf("%s: no warning that nobody can use it: %q", name, c.Warnings())
		}
	}
	for name, says := range map[string]string{"tv": "RFC 10027", "spa": "RFC 9700", "phone": "RFC 10027", "legacy": "RFC 9700"} {
		named := given{toml: strings.Replace(toml, "[login.staff]", "login = [\""+name+"\"]\n[login.staff]", 1)}.mustLoad(t)
		if !hasWarning(named, "login."+name, says) {
			t.Errorf("ROP-1, IMP-1, CD-1: %s acts without a warning that says why: %q", name, named.Warnings())
		}
	}
}

func TestWhatALoginCannotDoForARouteWarns(t *testing.T) {
	for says, toml := range map[string]string{
		`"token" has no effect`:                      strings.Replace(login("password", ""), "login = ", "accept = [\"basic\", \"token\"]\nlogin = ", 1),
		"no other login of this route signs anybody": login("ciba", "hint = \"id_token_hint\"\n"),
	} {
		if c := (given{toml: toml}).mustLoad(t); !hasWarning(c, "route.app", says) {
			t.Errorf("no warning that %q: %q", says, c.Warnings())
		}
	}
	both := minimal + "login = [\"staff\", \"x\"]\n[login.staff]\nflow = \"authorization_code\"\n[login.x]\nflow = \"ciba\"\nhint = \"id_token_hint\"\n"
	if c := (given{toml: both}).mustLoad(t); hasWarning(c, "route.app", "no other login") {
		t.Errorf("%q", c.Warnings())
	}
}
