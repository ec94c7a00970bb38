package provider

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Methods of client authentication. assertion_file is private_key_jwt with an assertion
// that somebody else signs: Kubernetes, SPIFFE, a cloud.
const (
	authNone          = "none"
	authBasic         = "client_secret_basic"
	authPost          = "client_secret_post"
	authSecretJWT     = "client_secret_jwt"
	authPrivateKeyJWT = "private_key_jwt"
	authTLS           = "tls_client_auth"
	authSelfSignedTLS = "self_signed_tls_client_auth"
	authFile          = "assertion_file"
)

// minMACSecret is how many bytes a client secret must have to be a key of HS256 (RFC 7518 §3.2).
const minMACSecret = 32

func (conf Config) withDefaults() Config {
	conf = conf.withProfile()
	if conf.ClockSkew == 0 {
		conf.ClockSkew = time.Minute
	}
	if conf.GroupsClaim == "" {
		conf.GroupsClaim = "groups"
	}
	if conf.UserInfo == "" {
		conf.UserInfo = "auto"
	}
	if conf.AssertionAudience == "" {
		conf.AssertionAudience = "issuer"
	}
	if conf.AccessTokens == "" {
		conf.AccessTokens = "jwt"
	}
	if conf.Scopes == nil && conf.ClientID != "" {
		conf.Scopes = []string{"openid", "profile", "email"}
	}
	conf.defaultGroups()
	if conf.ClientAuth == "" { // what was given tells the method, but for basic or post: discovery tells that
		switch {
		case conf.AssertionFile != "":
			conf.ClientAuth = authFile
		case !conf.PrivateKeyPEM.IsZero():
			conf.ClientAuth = authPrivateKeyJWT
		case !conf.ClientSecret.IsZero():
		case !conf.CertificateKeyPEM.IsZero():
			conf.ClientAuth = authTLS
		default:
			conf.ClientAuth = authNone
		}
	}
	return conf
}

// parts are what check makes of a Config on its way.
type parts struct {
	roots       *x509.CertPool // nil = the system's
	certificate *tls.Certificate
	signer      *signer
	requests    *signer
}

// check reports everything that is wrong, joined. Each error begins with the key.
func (conf *Config) check() (p parts, err error) {
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	note(checkIssuer(conf.Issuer))
	note(conf.checkEndpoints())
	note(conf.checkProfile())
	note(conf.checkGroups())
	note(conf.checkWords())
	note(conf.checkAlgs())
	note(conf.checkAuth())
	for name := range conf.AuthorizationParams {
		if Reserved(name) {
			note(fmt.Errorf("authorization_params: %s is set by Doorward itself", shown(name)))
		}
	}
	p.roots, err = readRoots(conf.CAPEM)
	note(err)
	p.certificate, err = readCertificate(conf.CertificatePEM, conf.CertificateKeyPEM)
	note(err)
	p.signer, err = newSigner(conf)
	note(err)
	if conf.ClientAuth == authPrivateKeyJWT {
		p.requests = p.signer
	} else {
		p.requests, err = newKeySigner(conf)
		note(err)
	}
	return p, errors.Join(errs...)
}

func checkIssuer(issuer string) error {
	if issuer == "" {
		return errors.New("issuer: missing; it is the URL that the provider's discovery document calls \"issuer\"")
	}
	if err := checkEndpoint(issuer, false, true); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if u, _ := url.Parse(issuer); u.RawQuery != "" || u.ForceQuery {
		return errors.New("issuer: it has no query (OpenID Connect Core 1.0 §1.2)")
	}
	if strings.Contains(issuer, "/.well-known/") {
		return errors.New("issuer: write the issuer itself, without /.well-known/…")
	}
	return nil
}

func (conf *Config) checkEndpoints() error {
	var errs []error
	for _, p := range endpoints() {
		raw := *p.of(&conf.Endpoints)
		if raw == "" {
			continue
		}
		if err := checkEndpoint(raw, p.browser, true); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.name, err))
		}
	}
	if !conf.Discovery {
		if conf.Endpoints.JWKS == "" && conf.AccessTokens == "jwt" && conf.Profile != profileGitHub {
			errs = append(errs, errors.New("jwks_uri: needed without discovery"))
		}
		if conf.ClientID != "" && conf.Endpoints.Token == "" {
			errs = append(errs, errors.New("token_endpoint: needed without discovery"))
		}
	}
	return errors.Join(errs...)
}

func (conf *Config) checkWords() error {
	var errs []error
	oneOf := func(key, value string, words ...string) {
		if !slices.Contains(words, value) {
			errs = append(errs, fmt.Errorf("%s: %s is none of %s", key, shown(value), strings.Join(words, ", ")))
		}
	}
	oneOf("userinfo", conf.UserInfo, "auto", "always", "never")
	oneOf("access_tokens", conf.AccessTokens, "jwt", "introspect")
	oneOf("audience_claim", conf.AudienceClaim, "", "aud", "azp", "client_id", "resource")
	oneOf("assertion_audience", conf.AssertionAudience, "issuer", "token_endpoint")
	if conf.ClockSkew < 0 || conf.ClockSkew > 5*time.Minute {
		errs = append(errs, errors.New("clock_skew: at least 0, at most 5m: beyond that, set the clocks"))
	}
	return errors.Join(errs...)
}

func (conf *Config) checkAlgs() error {
	var errs []error
	for _, alg := range conf.SigningAlgs {
		switch {
		case slices.Contains(asymmetric(), alg):
		case alg == "HS256" && len(conf.ClientSecret.Reveal()) >= minMACSecret:
		case alg == "HS256":
			errs = append(errs, fmt.Errorf("signing_algs: HS256 needs a client_secret of at least %d bytes (RFC 7518 §3.2)", minMACSecret))
		default:
			errs = append(errs, fmt.Errorf("signing_algs: %s is none of %s, HS256", shown(alg), strings.Join(asymmetric(), ", ")))
		}
	}
	return errors.Join(errs...)
}

// checkAuth holds what each method of client authentication needs against what there is.
func (conf *Config) checkAuth() error {
	secret, key := !conf.ClientSecret.IsZero(), !conf.PrivateKeyPEM.IsZero()
	var err error
	switch m := conf.ClientAuth; m {
	case "":
	case authNone:
		if secret {
			err = errors.New("client_auth: \"none\" together with a client_secret; drop one of them")
		}
	case authBasic, authPost:
		if !secret {
			err = fmt.Errorf("client_auth: %s needs a client_secret", m)
		}
	case authSecretJWT:
		if len(conf.ClientSecret.Reveal()) < minMACSecret {
			err = fmt.Errorf("client_auth: %s needs a client_secret of at least %d bytes (RFC 7518 §3.2)", m, minMACSecret)
		}
	case authPrivateKeyJWT:
		if !key {
			err = fmt.Errorf("client_auth: %s needs a private_key", m)
		}
	case authTLS, authSelfSignedTLS:
		if len(conf.CertificatePEM) == 0 || conf.CertificateKeyPEM.IsZero() {
			err = fmt.Errorf("client_auth: %s needs a certificate and its key", m)
		}
	case authFile:
		if conf.AssertionFile == "" {
			err = fmt.Errorf("client_auth: %s needs the path of the file", m)
		}
	default:
		err = fmt.Errorf("client_auth: %s is none of %s", shown(m), strings.Join([]string{authNone, authBasic, authPost, authSecretJWT, authPrivateKeyJWT, authTLS, authSelfSignedTLS, authFile}, ", "))
	}
	switch {
	case err != nil:
		return err
	case conf.ClientID == "" && (secret || key || conf.AssertionFile != ""):
		return errors.New("client_id: missing, though there is something to prove it with")
	case !conf.PreviousSecret.IsZero() && !secret:
		return errors.New("previous_secret: it accompanies a client_secret")
	}
	return nil
}
