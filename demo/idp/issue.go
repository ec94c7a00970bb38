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
		"expires_in":   int64(s.config.AccessTokenLifetime.Seconds()),
		"scope":        strings.Join(i.scopes, " "),
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
	now, jti, client := s.now(), random(), i.grant.client
	value := jti
	expires := now.Add(s.config.AccessTokenLifetime)
	if !client.OpaqueTokens {
		claims := map[string]any{
			"iss": s.config.Issuer, "sub": i.grant.user.Subject, "aud": oneOrMany(client.Audience), "client_id": client.ID, "azp": client.ID,
			"iat": now.Unix(), "exp": expires.Unix(), "jti": jti, "scope": strings.Join(i.scopes, " "),
			"auth_time": i.grant.authTime.Unix(), "acr": i.grant.acr, "sid": i.grant.sid,
		}
		change(claims, profile(i.grant.user, i.scopes))
		var err error
		if value, err = s.sign(token{typ: "at+jwt", claims: claims, sins: about(i.sins, true), secret: client.Secret}); err != nil {
			return "", err
		}
	}
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	s.state.sweep(now)
	s.state.access[value] = &accessToken{grant: i.grant, scopes: i.scopes, jti: jti, issued: now, expires: expires}
	return value, nil
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
	change(claims, map[string]any{
		"iss": s.config.Issuer, "sub": g.user.Subject, "aud": g.client.ID, "azp": g.client.ID,
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
