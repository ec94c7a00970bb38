package idp

import (
	"slices"
	"strings"
)

// issued is what a grant wants issued.
type issued struct {
	grant      *grant
	scopes     []string
	nonce      string
	newRefresh bool
	sins       []Sin

	audience []string       // asked for, = the client's
	claims   map[string]any // further claims of the access token, such as act; nil removes
	jkt      string         // the key that it is bound to

	state     string // of a front-channel response: its s_hash goes in
	code      string // issued along with the ID token: its c_hash goes in
	authReqID string // pushed: it goes into the ID token, and the hash of the refresh token (CIBA §10.3.1)
}

// issue makes the members of a token response (RFC 6749 §5.1, OIDC Core §3.1.3.3).
func (s *Server) issue(i issued) (map[string]any, error) {
	access, err := s.newAccessToken(i)
	if err != nil {
		return nil, err
	}
	answer := map[string]any{
		"access_token": access,
		"token_type":   "Bearer",
		"expires_in":   int64(i.grant.client.AccessTokenLifetime.Seconds()),
	}
	if len(i.scopes) > 0 { // RFC 6749 §3.3: one scope at least, or no member
		answer["scope"] = strings.Join(i.scopes, " ")
	}
	if i.jkt != "" {
		answer["token_type"] = "DPoP"
	}
	refresh := ""
	if i.newRefresh && !i.grant.client.NoRefresh {
		refresh = random()
		s.state.mu.Lock()
		s.state.refresh[refresh] = &refreshToken{grant: i.grant, expires: s.now().Add(s.config.RefreshTokenLifetime)}
		s.state.mu.Unlock()
		answer["refresh_token"] = refresh
		answer["refresh_expires_in"] = int64(s.config.RefreshTokenLifetime.Seconds())
	}
	if slices.Contains(i.scopes, "openid") {
		if answer["id_token"], err = s.newIDToken(i, access, refresh); err != nil {
			return nil, err
		}
	}
	return answer, nil
}

// newAccessToken makes a JWT of RFC 9068, or an opaque value.
func (s *Server) newAccessToken(i issued) (string, error) {
	client, claims := i.grant.client, s.accessClaims(i)
	said := clean(claims)
	value := random()
	if !client.OpaqueTokens {
		var err error
		if value, err = s.sign(token{typ: client.AccessTokenType, claims: claims, sins: about(i.sins, true), secret: client.Secret}); err != nil {
			return "", err
		}
	}
	s.keepAccess(value, &accessToken{grant: i.grant, scopes: i.scopes, claims: said, expires: s.now().Add(client.AccessTokenLifetime)})
	return value, nil
}

func (s *Server) keepAccess(value string, token *accessToken) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.sweep(s.now())
	s.state.access[value] = token
}

// accessClaims are those of an access token (RFC 9068 §2.2).
func (s *Server) accessClaims(i issued) map[string]any {
	now, client, audience := s.now(), i.grant.client, i.audience
	if len(audience) == 0 {
		audience = client.Audience
	}
	claims := map[string]any{
		"iss": s.config.Issuer, "sub": i.grant.user.Subject, "aud": oneOrMany(audience), "client_id": client.ID, "azp": client.ID,
		"iat": now.Unix(), "exp": now.Add(client.AccessTokenLifetime).Unix(), "jti": random(),
	}
	if len(i.scopes) > 0 {
		claims["scope"] = strings.Join(i.scopes, " ")
	}
	if !i.grant.machine {
		claims["auth_time"], claims["acr"], claims["sid"] = i.grant.authTime.Unix(), i.grant.acr, i.grant.sid
	}
	change(claims, profile(i.grant.user, i.scopes))
	change(claims, i.claims)
	if cnf := confirmation(i.jkt, client.CertificateThumbprint); cnf != nil {
		claims["cnf"] = cnf
	}
	change(claims, client.AccessTokenClaims)
	return claims
}

// confirmation is the claim cnf (RFC 9449 §6.1, RFC 8705 §3.1); nil if the token is bound to nothing.
func confirmation(jkt, certificate string) map[string]any {
	cnf := map[string]any{}
	if jkt != "" {
		cnf["jkt"] = jkt
	}
	if certificate != "" {
		cnf["x5t#S256"] = certificate
	}
	if len(cnf) == 0 {
		return nil
	}
	return cnf
}

// newIDToken makes an ID token (OIDC Core §2, §3.3.2.11); access and refresh are what is issued along with it, if anything.
func (s *Server) newIDToken(i issued, access, refresh string) (string, error) {
	now, g := s.now(), i.grant
	key, err := s.keys.signer(g.client.IDTokenAlg)
	if err != nil {
		return "", err
	}
	claims := map[string]any{}
	if !g.client.LeanIDToken || access == "" && i.code == "" { // then userinfo can't be asked (OIDC Core §5.4)
		claims = profile(g.user, i.scopes)
	}
	audience := any(g.client.ID)
	if len(i.audience) > 0 { // of an exchange for an ID token
		audience = oneOrMany(i.audience)
	}
	change(claims, map[string]any{
		"iss": s.config.Issuer, "sub": g.user.Subject, "aud": audience, "azp": g.client.ID,
		"iat": now.Unix(), "exp": now.Add(s.config.IDTokenLifetime).Unix(), "auth_time": g.authTime.Unix(),
		"acr": g.acr, "jti": random(),
	})
	hashes := map[string]string{"at_hash": access, "c_hash": i.code, "s_hash": i.state}
	if i.authReqID != "" {
		claims[ClaimAuthReqID] = i.authReqID
		hashes[ClaimRefreshHash] = refresh
	}
	for claim, value := range hashes {
		if value != "" {
			claims[claim] = halfHash(key.Alg, value)
		}
	}
	if i.nonce != "" {
		claims["nonce"] = i.nonce
	}
	if !g.client.NoIDTokenSID {
		claims["sid"] = g.sid
	}
	return s.sign(token{typ: "JWT", alg: key.Alg, claims: claims, sins: about(i.sins, false), secret: g.client.Secret})
}

// profile are the claims that scopes ask for (OIDC Core §5.4). groups come with profile too, as
// most providers have them outside any scope.
func profile(u *User, scopes []string) map[string]any {
	claims := map[string]any{}
	if slices.Contains(scopes, "profile") {
		change(claims, u.Claims)
		claims["name"], claims["preferred_username"] = u.Name, u.Username
	}
	if slices.Contains(scopes, "email") && u.Email != "" {
		claims["email"], claims["email_verified"] = u.Email, u.EmailVerified
	}
	if len(u.Groups) > 0 && (slices.Contains(scopes, "profile") || slices.Contains(scopes, "groups")) {
		claims["groups"] = u.Groups
	}
	return claims
}

func oneOrMany(values []string) any {
	if len(values) == 1 {
		return values[0]
	}
	return values
}
