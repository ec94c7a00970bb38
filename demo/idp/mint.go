package idp

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Mint says what access token a test wants. The zero value is a token of the first client for itself.
type Mint struct {
	Client   string         // = the first
	User     string         // whose it is, by username; "" = the client's own
	Audience []string       // = the client's
	Scopes   []string       // any: nobody is asked
	Claims   map[string]any // further claims; nil removes
	Lifetime time.Duration  // = the client's; negative: it has expired

	Opaque bool           // else as the client has it
	Header map[string]any // members of the JOSE header; nil removes: {"typ": "JWT"}
	Alg    string         // = the provider's first
	Sign   string         // a Sign constant
	Key    *Key           `json:"-"` // signs instead, under its own ID and whether it is published or not

	JKT, Certificate string // cnf: the thumbprints jkt and x5t#S256

	Unknown bool // introspection does not know it, nor any grant; of a forgery they never do
}

// Mint makes an access token that no request has asked for. Unless it is Unknown or a forgery, introspection and the
// grants take it for alive until EndToken.
func (s *Server) Mint(m Mint) (string, error) {
	if m.Client == "" && len(s.config.Clients) > 0 {
		m.Client = s.config.Clients[0].ID
	}
	client, user := s.clients[m.Client], s.users[m.User]
	switch {
	case client == nil:
		return "", fmt.Errorf("idp: no client %q", m.Client)
	case user == nil && m.User != "":
		return "", fmt.Errorf("idp: no user %q", m.User)
	}
	g := &grant{client: client, user: user, authTime: s.now(), acr: s.config.ACRValues[0], sid: random()[:26], scopes: m.Scopes}
	if user == nil {
		g.user, g.machine = serviceAccount(client), true
	}
	claims := s.accessClaims(issued{grant: g, scopes: m.Scopes, audience: m.Audience, jkt: m.JKT})
	lifetime := client.AccessTokenLifetime
	if m.Lifetime != 0 {
		lifetime = m.Lifetime
		claims["exp"] = s.now().Add(lifetime).Unix()
		if lifetime < 0 {
			claims["iat"] = s.now().Add(2 * lifetime).Unix()
		}
	}
	if cnf := confirmation(m.JKT, orElse(m.Certificate, client.CertificateThumbprint)); cnf != nil {
		claims["cnf"] = cnf
	}
	change(claims, m.Claims)
	claims = clean(claims)
	value, err := s.mintValue(m, client, claims)
	if err == nil && !m.Unknown && !s.forges(m) {
		s.keepAccess(value, &accessToken{grant: g, scopes: m.Scopes, claims: claims, expires: s.now().Add(lifetime)})
	}
	return value, err
}

// forges reports whether this provider would not have signed like that.
func (s *Server) forges(m Mint) bool {
	if m.Key != nil {
		return !slices.ContainsFunc(s.keys.all(), func(k Key) bool { return k.ID == m.Key.ID })
	}
	return m.Sign != "" && m.Sign != SignFreshKey
}

func (s *Server) mintValue(m Mint, client *Client, claims map[string]any) (string, error) {
	if m.Opaque || client.OpaqueTokens {
		return random(), nil
	}
	t := token{typ: client.AccessTokenType, alg: m.Alg, claims: maps.Clone(claims), secret: client.Secret}
	t.sins = []Sin{{JOSE: m.Header, Sign: m.Sign}}
	if m.Key != nil {
		return m.Key.SignJWT(withDefault(m.Header, "typ", t.typ), claims)
	}
	return s.sign(t)
}

// MustMint is Mint for tests: it panics where Mint fails.
func (s *Server) MustMint(m Mint) string {
	value, err := s.Mint(m)
	if err != nil {
		panic(err)
	}
	return value
}

// SignJWT signs any claims with this key. header is added to alg, kid and typ (JWT); nil removes.
func (k Key) SignJWT(header, claims map[string]any) (string, error) {
	members := map[string]any{"alg": k.Alg, "kid": k.ID, "typ": "JWT"}
	change(members, header)
	return compact(clean(members), claims, k.sign)
}

// EndToken revokes an access token, as RFC 7009 would: from now on introspection and the grants do not know it. It
// reports whether there was one.
func (s *Server) EndToken(value string) bool {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	found := s.state.access[value]
	if found == nil || found.revoked {
		return false
	}
	found.revoked = true
	return true
}

// EndSubject revokes every access and refresh token of a subject, and reports how many that were.
func (s *Server) EndSubject(subject string) int {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	n := 0
	for _, found := range s.state.access {
		if found.grant.user.Subject == subject && !found.revoked {
			found.revoked = true
			n++
		}
	}
	for _, found := range s.state.refresh {
		if found.grant.user.Subject == subject && !found.grant.revoked {
			found.grant.revoked = true
			n++
		}
	}
	return n
}

func orElse(text, otherwise string) string {
	if strings.TrimSpace(text) != "" {
		return text
	}
	return otherwise
}

func withDefault(members map[string]any, name string, value any) map[string]any {
	out := map[string]any{name: value}
	change(out, members)
	return out
}
