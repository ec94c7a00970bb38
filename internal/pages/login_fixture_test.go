package pages

import "net/http"

var (
	beginForm = Form{"/oauth2/device", []Field{{"login", "tv"}, {"rd", "/x?a=b&c=d"}}}
	site      = asked{host, "TV", "sso.example.com"}
	begun     = "22 November 2026, 10:31 UTC, from 203.0.113.7"
)

func waitingFor(status string) Waiting {
	return Waiting{
		Status: status, ExpiresIn: 600, Interval: 5, Poll: "/oauth2/device/poll?attempt=A1", Reload: "/oauth2/device?attempt=A1",
		Again: beginForm, Other: "/oauth2/sign_in?rd=%2Fx",
	}
}

func deviceCode(status string) DeviceCode {
	return DeviceCode{
		Host: site.Host, Label: site.Label, Provider: site.Provider, UserCode: "WDJB-MJHT", VerificationURI: "https://sso.example.com/device",
		CompleteURI: "https://sso.example.com/device?user_code=WDJB-MJHT", Begun: begun, Waiting: waitingFor(status),
	}
}

func cibaWait(status string) CIBAWait {
	return CIBAWait{Host: site.Host, Label: "Phone", Provider: site.Provider, BindingMessage: "W4SCT", Begun: begun, Waiting: waitingFor(status)}
}

func approvalOf(status string) Approval {
	return Approval{
		Host: site.Host, Request: "POST /payments", BindingMessage: "PAY-20", Send: Form{"/oauth2/approval/A1", []Field{{"secret", "s1"}}},
		Back: "/payments/new", Waiting: waitingFor(status),
	}
}

func passwordForm() Password {
	return Password{Host: site.Host, Label: "Legacy", Provider: site.Provider, Form: Form{"/oauth2/password", []Field{{"login", "legacy"}, {"rd", "/x"}}}, Other: "/oauth2/sign_in?rd=%2Fx"}
}

// loginPages is each page of a login or an approval, in each of its states.
func loginPages(p *Pages) []shown {
	var all []shown
	add := func(name string, h handler) { all = append(all, shown{name, "GET", navigation, h}) }
	begin := func(name string, page BeginLogin) {
		page.Host, page.Label, page.Provider, page.Form = site.Host, site.Label, site.Provider, beginForm
		add(name, func(w http.ResponseWriter, r *http.Request) { p.BeginLogin(w, r, page) })
	}
	begin("begin_login", BeginLogin{})
	begin("begin_login by itself", BeginLogin{Auto: true})
	begin("begin_login again", BeginLogin{Notice: "The code has expired."})

	device := func(name string, page DeviceCode) {
		add(name, func(w http.ResponseWriter, r *http.Request) { p.DeviceCode(w, r, page) })
	}
	for _, status := range []string{pending, "denied", "expired", failed} {
		device("device "+status, deviceCode(status))
		wait := cibaWait(status)
		add("ciba "+status, func(w http.ResponseWriter, r *http.Request) { p.CIBAWait(w, r, wait) })
	}
	for _, status := range []string{pending, approved, "denied", "expired", failed, "used"} {
		page := approvalOf(status)
		add("approval "+status, func(w http.ResponseWriter, r *http.Request) { p.Approval(w, r, page) })
	}
	trouble := deviceCode(pending)
	trouble.Trouble, trouble.CompleteURI, trouble.ExpiresIn, trouble.Interval = true, "", 95, 20
	device("device in trouble", trouble)
	bare := deviceCode(pending)
	bare.UserCode, bare.Begun, bare.Other, bare.VerificationURI, bare.CompleteURI = "123 456 789", "", "", "https://sso.example.com/"+longPath, ""
	device("device without a QR code", bare)
	problem := deviceCode(failed)
	problem.Problem = "The identity provider no longer knows this sign-in."
	problem.Other, problem.Again = "", Form{}
	device("device failed for a reason", problem)
	silent := cibaWait(pending)
	silent.BindingMessage = ""
	add("ciba without a message", func(w http.ResponseWriter, r *http.Request) { p.CIBAWait(w, r, silent) })

	hint := CIBAHint{Host: site.Host, Label: "Phone", Provider: site.Provider, Form: Form{"/oauth2/ciba", []Field{{"login", "phone"}, {"rd", "/x"}}}}
	add("ciba_hint", func(w http.ResponseWriter, r *http.Request) { p.CIBAHint(w, r, hint) })
	refused := hint
	refused.Hint, refused.AskUserCode, refused.Status, refused.Notice = "alice@example.com", true, 429, "Too many requests were sent for this name. Wait a minute."
	add("ciba_hint too often", func(w http.ResponseWriter, r *http.Request) { p.CIBAHint(w, r, refused) })

	password := func(name string, page Password) {
		add(name, func(w http.ResponseWriter, r *http.Request) { p.Password(w, r, page) })
	}
	form := passwordForm()
	password("password", form)
	form.Username, form.AskOTP = "alice", true
	form.Status, form.Notice = 401, "The user name, the password or the code is not right."
	password("password wrong", form)
	form.Status, form.Notice = 429, "Too many attempts. Try again in 20 seconds."
	password("password too often", form)
	form.Status, form.Notice, form.AskOTP = 503, "", false
	password("password unavailable", form)

	add("relay", func(w http.ResponseWriter, r *http.Request) {
		p.Relay(w, r, Relay{Action: "/oauth2/callback", Token: "r1"})
	})
	return all
}

const longPath = "tenants/the-example-company-of-many-words/protocol/openid-connect/authenticate/another/device/by/a/code/" +
	"that/has/an/address/which/nobody/can/type/but/which/some/provider/will/surely/have/because/its/path/names/each/of/its/departments/and/each/of/" +
	"their/subdivisions/and/the/cities/in/which/they/are/with/the/names/of/the/streets/and/of/everybody/who/lives/there/and/of/their/dogs/and/cats/and/" +
	"the/names/of/the/gods/to/whom/they/pray/in/the/evening/and/what/they/had/for/dinner/on/the/third/of/may/nineteen-hundred-and-seventy-one"
