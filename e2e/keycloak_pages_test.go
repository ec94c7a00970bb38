package e2e

import (
	"strings"
	"testing"
)

const keycloakPages = `
[login.staff]
flow = "authorization_code"
label = "Staff of the Example Company"
[login.tv]
flow = "device"
label = "Another device"
[login.phone]
flow = "ciba"
label = "Your phone"
user_code = true
[login.asked]
flow = "ciba"
label = "Your phone, without more"
[login.legacy]
flow = "password"
form = true
otp = "totp"
label = "User name and password"
[[route]]
name = "choice"
host = "%[1]s"
path = "/choice"
upstream = ["%[2]s"]
login = ["staff", "tv", "phone", "legacy"]
[[route]]
name = "tv"
host = "%[1]s"
path = "/tv"
upstream = ["%[2]s"]
login = ["tv"]
[[route]]
name = "phone"
host = "%[1]s"
path = "/phone"
upstream = ["%[2]s"]
login = ["phone"]
[[route]]
name = "asked"
host = "%[1]s"
path = "/asked"
upstream = ["%[2]s"]
login = ["asked"]
[[route]]
name = "legacy"
host = "%[1]s"
path = "/legacy"
upstream = ["%[2]s"]
login = ["legacy"]
[[route]]
name = "pay"
host = "%[1]s"
path = "/payments"
upstream = ["%[2]s"]
login = ["legacy"]
approve = { login = "asked", methods = ["POST"], binding_message = '"PAY-" + form.amount' }
`

// The pages of the flows that have some of their own, with a real provider behind them.
func TestPagesOfEveryFlowAreReadableForEverybody(t *testing.T) {
	k := newKeycloakWorld(t, keycloakPages)
	w := &pagesWorld{world: k.world, origins: []string{k.gateway.origin}}
	b := newBrowser(t)
	asked := 0
	ask := func(tb *tab, who string) push {
		tb.open(k.gateway.origin + "/asked")
		tb.hint(who)
		tb.waiting()
		asked++
		return k.keycloak.phone.next(t, asked)
	}
	pay := func(tb *tab) push {
		tb.open(k.gateway.origin + "/payments")
		if strings.Contains(tb.look().URL, "/oauth2/password") { // the first time in this browser
			tb.password("alice", keycloakPasswords["alice"], "")
		}
		tb.waitURL(k.gateway.origin + "/payments")
		asked++
		tb.pay(asked)
		return k.keycloak.phone.next(t, asked)
	}
	device := func(tb *tab) {
		tb.open(k.gateway.origin + "/tv")
		tb.begin()
	}
	w.readable(t, b, []shown{
		{"sign in by one of several", 200, func(tb *tab) { tb.open(k.gateway.origin + "/choice/page") }},
		{"device begin", 200, func(tb *tab) { // as it is for who follows a link of another site
			tb.open(newApp(t).URL)
			script[any](tb, `location.href = "`+k.gateway.origin+`/oauth2/device?login=tv&rd=%2Ftv"; return null;`)
			tb.wait("our page", func(v view) bool { return strings.HasPrefix(v.URL, k.gateway.origin) })
		}},
		{"device code", 200, device},
		{"device refused", 200, func(tb *tab) {
			device(tb)
			k.keycloak.approveDevice(b.apart(t).tab(t), k.keycloak.issuer+"/device", tb.userCode(), "bob", false)
			tb.says("refused")
		}},
		{"phone who", 200, func(tb *tab) { tb.open(k.gateway.origin + "/phone") }},
		{"phone waits", 200, func(tb *tab) { ask(tb, "alice") }},
		{"phone refused", 200, func(tb *tab) {
			k.keycloak.answer(t, ask(tb, "bob"), "CANCELLED")
			tb.says("refused")
		}},
		{"phone too often", 429, func(tb *tab) {
			tb.open(k.gateway.origin + "/asked")
			tb.hint("bob")
			tb.says("too many")
		}},
		{"password", 200, func(tb *tab) { tb.open(k.gateway.origin + "/legacy") }},
		{"password wrong", 401, func(tb *tab) {
			tb.open(k.gateway.origin + "/legacy")
			tb.password("alice", "wrong", "")
			tb.says("not accepted", "wrong", "not right")
		}},
		{"approval waits", 200, func(tb *tab) { pay(tb) }},
		{"approval refused", 200, func(tb *tab) {
			k.keycloak.answer(t, pay(tb), "CANCELLED")
			tb.says("not approved")
		}},
	})
}
