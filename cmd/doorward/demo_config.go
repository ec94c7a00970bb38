package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/doorward/doorward/demo"
	"github.com/doorward/doorward/demo/idp"
)

// pollInterval is shorter than usual: people watch.
const pollInterval = 2 * time.Second

// provider describes the demo's identity provider. Each example has a client of its own, with the grants that it needs and no other.
func (a *demoApps) provider() idp.Config {
	c := idp.Config{
		Issuer: a.pages.Provider, RotateRefresh: true, ShowPasswords: true,
		DevicePollInterval: pollInterval, CIBAPollInterval: pollInterval,
	}
	web := a.client("coolwebapp", "CoolWebApp.com")
	spa := a.client(demo.SPA, "SimpleSPA.com")
	spa.Secret, spa.Grants, spa.ResponseTypes = "", []string{"implicit"}, []string{idp.ResponseTypeIDToken, idp.ResponseTypeIDTokenToken}
	desktop := a.client(demo.Desktop, "LegacyDesktopApp")
	desktop.Grants = []string{"password", "refresh_token"}
	tv := a.client(demo.TV, "SmartTV")
	tv.Grants = []string{"urn:ietf:params:oauth:grant-type:device_code", "refresh_token"}
	till := a.client(demo.Till, "PointOfSaleTerminal")
	till.Grants = []string{"urn:openid:params:grant-type:ciba", "refresh_token"}
	backup := a.client(demo.Backup, "NightlyBackupService")
	backup.Grants, backup.RedirectURIs, backup.PostLogoutRedirectURIs = []string{"client_credentials"}, nil, nil
	backup.Scopes, backup.Audiences = []string{"data.write"}, []string{demo.StorageAudience, strayAudience}
	exchange := a.client(demo.Exchange, "MicroserviceA")
	exchange.Grants = []string{"authorization_code", "refresh_token", "client_credentials", idp.GrantTokenExchange}
	exchange.Audiences = []string{demo.ServiceBAudience}
	c.Clients = []idp.Client{web, spa, desktop, tv, till, backup, exchange}
	for _, u := range a.pages.Users {
		user := idp.User{
			Username: u.Username, Password: u.Password, Email: u.Username + "@example.com", EmailVerified: true,
			Name: strings.ToUpper(u.Username[:1]) + u.Username[1:] + " Example",
		}
		if u.Username == "alice" {
			user.Groups = []string{"staff"}
		}
		c.Users = append(c.Users, user)
	}
	return c
}

func (a *demoApps) client(id, name string) idp.Client {
	return idp.Client{
		ID: id, Secret: a.secret, Name: name, SkipConsent: true,
		RedirectURIs:           []string{a.pages.Origin + "/oauth2/callback/" + id},
		PostLogoutRedirectURIs: []string{a.pages.Origin + "/oauth2/logout/callback"},
	}
}

// strayAudience is whom the token is for that DataStorageAPI is sent by mistake.
const strayAudience = "billing-api"

// config is the demo's own configuration, read by the same reader as everybody's.
func (a *demoApps) config(gateway, egress int, dir, apps, landing string) string {
	var b strings.Builder
	fmt.Fprintf(&b, demoListen, dir, gateway, egress)
	for _, id := range a.pages.Examples() {
		fmt.Fprintf(&b, demoProvider, id, a.pages.Provider)
		if id != demo.SPA { // the implicit flow is for clients that can keep no secret
			fmt.Fprintf(&b, "client_secret = %q\n", a.secret)
		}
	}
	b.WriteString(demoLogins)
	b.WriteString(demoCredentials)
	fmt.Fprintf(&b, demoRoutes, a.pages.Origin, apps, landing)
	fmt.Fprintf(&b, demoTargets, a.pages.Storage, a.pages.ServiceB)
	return b.String()
}

const (
	demoListen = `state_dir = %q

[listen]
http = "127.0.0.1:%d"
admin = "127.0.0.1:0"
egress = "127.0.0.1:%d"

[sessions]
store = "memory"

[telemetry.log]
level = "warn"
format = "text"
`
	// One for each client. In production one provider with several logins would do.
	demoProvider = `
[provider.%[1]s]
issuer = %[2]q
client_id = %[1]q
scopes = ["openid", "profile", "email", "groups"]
`
	// form_post although the provider is another site: browsers take the Secure cookie that it needs from
	// http://localhost, Safari excepted.
	demoLogins = `
[login.coolwebapp]
flow = "authorization_code"
provider = "coolwebapp"
label = "CoolWebApp.com"

[login.spa]
flow = "implicit"
provider = "simplespa"
label = "SimpleSPA.com"
response_type = "id_token token"
response_mode = "form_post"

[login.legacy]
flow = "password"
provider = "legacydesktopapp"
label = "LegacyDesktopApp"
form = true

[login.tv]
flow = "device"
provider = "smarttv"
label = "SmartTV"

[login.phone]
flow = "ciba"
provider = "pointofsale"
label = "PointOfSaleTerminal"

[login.microservice-a]
flow = "authorization_code"
provider = "microservice-a"
label = "MicroserviceA"
`
	demoCredentials = `
[credential.backup]
flow = "client_credentials"
provider = "nightlybackup"
scopes = ["data.write"]
audience = ["data-storage-api"]

[credential.microservice-a]
flow = "client_credentials"
provider = "microservice-a"

[credential.microservice-b]
flow = "token_exchange"
provider = "microservice-a"
audience = ["microservice-b"]
actor = "microservice-a"

[credential.stray]
flow = "client_credentials"
provider = "nightlybackup"
audience = ["billing-api"]
`
	// What local services call. The last one is wrong on purpose: an API must refuse a token that is for another.
	demoTargets = `
[[egress]]
name = "data"
upstream = [%[1]q]
credential = "backup"

[[egress]]
name = "microservice-b"
upstream = [%[2]q]
accept = ["bearer"]
issuers = ["microservice-a"]
audience = ["microservice-a"]
credential = "microservice-b"

[[egress]]
name = "data-by-mistake"
upstream = [%[1]q]
credential = "stray"
`
	demoRoutes = `
[[route]]
name = "landing"
host = %[1]q
upstream = ["http://%[3]s"]
public = true

[[route]]
name = "coolwebapp"
host = %[1]q
path = "/coolwebapp"
upstream = ["http://%[2]s"]
login = ["coolwebapp"]
credential = "session"

[[route]]
name = "staff"
host = %[1]q
path = "/coolwebapp/staff"
upstream = ["http://%[2]s"]
login = ["coolwebapp"]
allow = [{ groups = ["staff"] }]
credential = "session"

[[route]]
name = "simplespa"
host = %[1]q
path = "/simplespa"
upstream = ["http://%[2]s"]
login = ["spa"]
credential = "session"

[[route]]
name = "window"
host = %[1]q
path = "/legacydesktopapp"
upstream = ["http://%[2]s"]
public = true

[[route]]
name = "files"
host = %[1]q
path = "/legacydesktopapp/files"
upstream = ["http://%[2]s"]
accept = ["session", "basic"]
login = ["legacy"]
credential = "session"

[[route]]
name = "smarttv"
host = %[1]q
path = "/smarttv"
upstream = ["http://%[2]s"]
login = ["tv"]
credential = "session"

[[route]]
name = "till"
host = %[1]q
path = "/pointofsale"
upstream = ["http://%[2]s"]
login = ["phone"]
credential = "session"

[[route]]
name = "payments"
host = %[1]q
path = "/pointofsale/payments"
upstream = ["http://%[2]s"]
login = ["phone"]
credential = "session"
approve = { login = "phone", methods = ["POST"], binding_message = '"PAY-" + form.amount + "-" + form.currency', expires = "2m" }

[[route]]
name = "backup-console"
host = %[1]q
path = "/nightlybackup"
upstream = ["http://%[2]s"]
public = true

[[route]]
name = "microservice-a"
host = %[1]q
path = "/microservice-a"
upstream = ["http://%[2]s"]
login = ["microservice-a"]
credential = "session"
`
)

// recipes are the examples as they would be written for real: the demo's own login or credential and the route or target
// that needs it, with one provider for all.
func recipes() map[string]string {
	return map[string]string{
		"coolwebapp": recipe("coolwebapp", "coolwebapp"),
		demo.SPA:     recipe(demo.LoginSPA, "simplespa"),
		demo.Desktop: recipe(demo.LoginDesktop, "files"),
		demo.TV:      recipe(demo.LoginTV, "smarttv"),
		demo.Till:    recipe(demo.LoginTill, "payments"),
		demo.Backup:  forReal(table("[credential.backup]"), table("[[egress]]\nname = \"data\"")),
		demo.Exchange: forReal(
			table("[credential.microservice-a]"), table("[credential.microservice-b]"), table("[[egress]]\nname = \"microservice-b\""),
		),
	}
}

func recipe(login, route string) string {
	return forReal(table("[login."+login+"]"), table("[[route]]\nname = \""+route+"\""))
}

// forReal leaves out what only a demo needs.
func forReal(tables ...string) string {
	var b strings.Builder
	outbound := false
	for line := range strings.Lines(strings.Join(tables, "\n")) {
		outbound = outbound || line == "[[egress]]\n"
		switch key, _, _ := strings.Cut(line, " = "); key {
		case "label":
		case "name":
			if outbound { // its address
				b.WriteString(line)
			}
		case "issuers":
			b.WriteString("issuers = [\"corp\"]\n")
		case "provider":
			b.WriteString("provider = \"corp\"\n")
		case "host":
			b.WriteString("host = \"app.example.com\"\n")
		case "upstream":
			b.WriteString("upstream = [\"http://127.0.0.1:3000\"]\n")
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

// table is the table of the demo's configuration that begins so, up to the next.
func table(begin string) string {
	for t := range strings.SplitSeq(demoLogins+demoCredentials+demoRoutes+demoTargets, "\n\n") {
		if t = strings.TrimSpace(t) + "\n"; strings.HasPrefix(t, begin+"\n") {
			return t
		}
	}
	return ""
}

// productionTOML is what the demo does, as it would be written for real.
const productionTOML = `[provider.corp]
issuer        = "https://sso.example.com/realms/main"
client_id     = "doorward"
client_secret = "${env:CORP_SECRET}"

[[route]]
host       = "app.example.com"
upstream   = ["http://127.0.0.1:3000"]
credential = "session"

[[route]]
host       = "app.example.com"
path       = "/staff"
upstream   = ["http://127.0.0.1:3000"]
allow      = [{ groups = ["staff"] }]
credential = "session"
`
