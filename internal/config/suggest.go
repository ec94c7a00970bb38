package config

import (
	"fmt"
	"slices"
	"strings"
)

// didYouMean is "; did you mean X?" with the nearest of the names, or "" if none is near.
func didYouMean(name string, names []string) string {
	if best := nearest(name, names); best != "" {
		return fmt.Sprintf("; did you mean %q?", best)
	}
	return ""
}

// nearest returns the name that somebody most probably meant, or "".
func nearest(name string, names []string) string {
	best, least := "", 1+max(1, len(name)/3)
	for _, n := range slices.Sorted(slices.Values(names)) {
		d := distance(fold(name), fold(n))
		if d < least {
			best, least = n, d
		}
	}
	return best
}

// fold takes away what people differ over without meaning anything else.
func fold(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "-", "_")
}

// distance counts insertions, deletions, replacements and swaps of neighbours between two words
// (optimal string alignment).
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}

// names joins names for a sentence.
func names(list []string) string {
	quoted := make([]string, len(list))
	for i, n := range list {
		quoted[i] = fmt.Sprintf("%q", n)
	}
	return strings.Join(quoted, ", ")
}

// calledHere is what a word of other gateways is called here, in a [[route]]; "" = nobody has it.
func (s *spec) calledHere(word string) string {
	if s.keys["upstream"] == nil || s.keys["allow"] == nil || s.keys["upstream"].form != list { // no [[route]]
		return ""
	}
	word = fold(word)
	for _, w := range elsewhere() {
		if slices.Contains(strings.Fields(w.words), word) {
			return w.here
		}
	}
	return ""
}

// elsewhere are words of nginx and ingress-nginx, Traefik, Caddy, Envoy, oauth2-proxy, Pomerium and the like.
func elsewhere() []struct{ words, here string } {
	return []struct{ words, here string }{
		{"rate_limit rate_limits ratelimit throttle limit_req limit_rps limit", `limits = { per_user = "100/1m" }, or per_address, concurrent`},
		{"max_body max_body_size body_size client_max_body_size proxy_body_size request_body", `limits = { max_body = "10MB" }`},
		{"gzip encode compression brotli zstd", `compress = ["zstd", "gzip"]`},
		{"skip_auth skip_auth_route skip_auth_routes skip_auth_regex no_auth noauth anonymous allow_public_unauthenticated_access auth authenticated", "public = true for a route without a sign-in; every other one asks for it"},
		{"allowed_groups allowed_group group allow_groups groups_allowed", `allow = [{ groups = ["…"] }]`},
		{"allowed_emails allow_emails authenticated_emails", `allow = [{ emails = ["…"] }]`},
		{"allowed_users users_allowed allow_users", `allow = [{ users = ["…"] }]`},
		{"allowed_domains email_domains email_domain allow_domains", `allow = [{ domains = ["…"] }]`},
		{"allowed_roles allow_roles", `allow = [{ roles = ["…"] }]`},
		{"allowed_ips whitelist whitelist_source_range ip_whitelist ip_allow_list ipallowlist allow_ips", `allow = [{ networks = ["…"] }]`},
		{"websocket websockets enable_websockets allow_websockets", "not needed: WebSockets pass on every route; websocket_origins lists other origins whose pages may open one"},
		{"timeout proxy_read_timeout read_timeout idle_timeout request_timeout", `timeouts = { header = "2m" }, or connect, idle, total`},
		{"rewrite_target uri_rewrite path_rewrite prefix_rewrite replace_path replacepathregex regex_rewrite", `rewrite = [{ from = "/old/{rest...}", to = "/new/{rest...}" }], or strip_prefix and add_prefix`},
		{"strip_path stripprefix strip_path_prefix", "strip_prefix = true"},
		{"health_check healthcheck health_checks health_uri active_health_check", `health = { path = "/healthz" }`},
		{"load_balancer loadbalancer load_balancing lb lb_policy load_balancing_weight", `balance = { policy = "least_connections" }, with several in upstream`},
		{"sticky_session sticky_sessions session_affinity affinity", "balance = { sticky = true }"},
		{"circuit_breaker outlier_detection max_fails passive_health_check", `eject = { failures = 5, for = "30s" }`},
		{"basic_auth basicauth auth_basic", `accept = ["session", "basic"]`},
		{"api_key apikey key_auth", `accept = ["key"]`},
		{"jwt jwt_auth bearer", `accept = ["session", "bearer"]`},
		{"backend backends proxy_pass reverse_proxy service server servers to target", `upstream = ["http://127.0.0.1:3000"]`},
		{"from server_name domain hostname", `host = "app.example.com"`},
		{"prefix location path_prefix uri", `path = "/api"`},
		{"root static static_files file_server", `files = { root = "/srv/www" }`},
		{"return redirect_to redir", `redirect = { to = "https://www.example.com{path}" }`},
		{"preserve_host preserve_host_header pass_host_header host_rewrite", `host_header = "client", "upstream" or a host`},
		{"request_headers set_request_headers add_header proxy_set_header header_up", `headers = { set = { X-Name = "…" } }`},
		{"set_response_headers header_down custom_headers hsts", `response_headers = { set = { X-Name = "…" } }`},
		{"access_control cors_allow_origin cors_allowed_origins enable_cors allow_origin", `cors = { origins = ["https://www.example.com"] }`},
		{"tls_skip_verify ca tls tls_ca custom_ca tls_custom_ca_file root_ca", `upstream_tls = { ca_file = "ca.pem" }`},
		{"retry max_retries proxy_next_upstream", "retries = 2"},
		{"forward_auth auth_request ext_authz auth_url", `decision = { url = "http://127.0.0.1:8181/v1/data/doorward/allow" } to ask somebody else; a route without an upstream is for proxies that ask Doorward`},
	}
}
