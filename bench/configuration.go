package main

import (
	"fmt"
	"strings"
)

// configuration is what all comparisons have: state_dir, addresses, store, issuer, origin and upstream go in.
const configuration = `state_dir = %q
[listen]
http = %q
admin = "127.0.0.1:0"
trusted_proxies = ["127.0.0.0/8"]
[sessions]
store = %q
%s
[provider.bench]
issuer = %q
client_id = "doorward"
client_secret = "bench"
scopes = ["openid", "profile", "email", "groups"]
[login.staff]
flow = "authorization_code"
[login.legacy]
flow = "password"
[login.tv]
flow = "device"
[[route]]
name = "app"
host = %[6]q
upstream = [%[7]q]
login = ["staff"]
allow = [{ groups = ["staff"] }]
credential = "session"
[[route]]
name = "git"
host = %[6]q
path = "/git"
strip_prefix = true
upstream = [%[7]q]
login = ["legacy"]
accept = ["basic"]
allow = [{ groups = ["staff"] }]
credential = "session"
[[route]]
name = "tv"
host = %[6]q
path = "/tv"
upstream = [%[7]q]
login = ["tv"]
`

// machines are the further tables of the comparisons about tokens. The others go without: what they measure is the gateway that
// they have always measured.
func (s *stage) machines() (listen, tables string) {
	switch {
	case s.options.crowd > 0:
		return s.egressListener(), s.exchangeTables() + s.credentialsTables() + fmt.Sprintf("concurrent = %d\n", s.options.crowd)
	case s.options.stream != "":
		return "", s.streamTables()
	case s.options.compare == compareBearer:
		return "", s.fill(`
[[route]]
name = "api"
host = %[1]q
path = "/api"
upstream = [%[2]q]
accept = ["bearer"]
audience = [%[3]q]
allow = [{ scopes = ["orders.read"] }]
credential = "session"
`, audienceAPI)
	case s.options.compare == compareExchange:
		return "", s.exchangeTables()
	case s.options.compare == compareCredentials:
		return s.egressListener(), s.credentialsTables()
	}
	return "", ""
}

func (s *stage) egressListener() string { return fmt.Sprintf("egress = %q\n", s.egressAt) }

func (s *stage) exchangeTables() string {
	return s.fill(`
[credential.orders]
flow = "token_exchange"
audience = [%[3]q]
[[route]]
name = "orders"
host = %[1]q
path = "/orders"
upstream = [%[2]q]
login = ["staff"]
allow = [{ groups = ["staff"] }]
credential = "orders"
`, audienceOrders+strings.Repeat("a", ordersFiller))
}

// credentialsTables ends within the table of the egress.
func (s *stage) credentialsTables() string {
	return s.fill(`
[credential.backup]
flow = "client_credentials"
audience = [%[3]q]
[[egress]]
name = "data"
upstream = [%[2]q]
credential = "backup"
`, audienceData+strings.Repeat("a", dataFiller))
}

func (s *stage) fill(tables, audience string) string {
	return fmt.Sprintf(tables, s.origin, s.upstream, audience)
}
