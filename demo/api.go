package demo

import (
	"errors"
	"io"
	"net/http"
	"strings"
)

// APIs returns the two APIs that services call. Nothing protects them but the tokens that they ask for.
func APIs(c Config) (storage, b http.Handler, err error) {
	s, err := newSite(c)
	if err != nil {
		return nil, nil, err
	}
	if s.config.Local == nil {
		return nil, nil, errors.New("demo: the APIs need a client, to read the provider's keys")
	}
	return s.api(StorageAPI, StorageAudience, http.MethodPost, BackupsPath), s.api(ServiceB, ServiceBAudience, http.MethodGet, OrdersPath), nil
}

// api answers one path, and only to whom the verifier lets in. It says what it has looked at, because this is a demo.
func (s *site) api(name, audience, method, path string) http.Handler {
	v := &verifier{name: name, audience: audience, issuer: s.config.Provider, client: s.config.Local, now: s.config.Now}
	mux := http.NewServeMux()
	mux.HandleFunc(method+" "+path, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxForm))
		said := v.judge(r.Context(), r.Header.Get("Authorization"))
		switch {
		case said.Accepted() && method == http.MethodPost:
			s.json(w, http.StatusCreated, said)
		case said.Accepted():
			s.json(w, http.StatusOK, said)
		default:
			w.Header().Set("WWW-Authenticate", said.challenge())
			s.json(w, http.StatusUnauthorized, said)
		}
	})
	return mux
}

// challenge is RFC 6750 §3: without a token there is no error to speak of.
func (v verdict) challenge() string {
	challenge := `Bearer realm="` + v.API + `"`
	if len(v.Checks) > 0 {
		challenge += `, error="invalid_token", error_description="` + strings.Map(inQuotes, v.Reason) + `"`
	}
	return challenge
}

// inQuotes keeps to the alphabet of error_description (RFC 6750 §3).
func inQuotes(r rune) rune {
	if r < 0x20 || r > 0x7e || r == '"' || r == '\\' {
		return '?'
	}
	return r
}
