package demo

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// verifier is how an API that stands behind nothing checks the access tokens that it is sent (RFC 9068 §4): by
// itself, with the provider's keys. It shares no code with Doorward, so that what it accepts proves something.
type verifier struct {
	name     string // of the API
	audience string // that a token must be for
	issuer   string
	client   *http.Client
	now      func() time.Time

	mu      sync.Mutex
	keys    map[string]jwk
	fetched time.Time
}

// keyPause is how long the keys are not asked for again, whatever comes: a token with an unknown key makes no flood.
const keyPause = 5 * time.Second

// maxDocument bounds what is read of a provider's document.
const maxDocument = 256 << 10

// check is one thing that was looked at.
type check struct {
	What string `json:"check"`
	Want string `json:"want"`
	Got  string `json:"got"`
	OK   bool   `json:"ok"`
}

// verdict is what an API says of a request. It holds no time, so that the same request is answered alike.
type verdict struct {
	API      string          `json:"api"`
	Verdict  string          `json:"verdict"` // accepted or refused
	Reason   string          `json:"reason"`
	Audience string          `json:"aud,omitempty"`
	Subject  string          `json:"sub,omitempty"`
	Client   string          `json:"client_id,omitempty"`
	Scope    string          `json:"scope,omitempty"`
	Act      json.RawMessage `json:"act,omitempty"`
	Checks   []check         `json:"checks,omitempty"`
}

// Accepted reports whether the request is let in.
func (v verdict) Accepted() bool { return v.Verdict == "accepted" }

// ActJSON is act on one line.
func (v verdict) ActJSON() string {
	var line bytes.Buffer
	if json.Compact(&line, v.Act) != nil {
		return ""
	}
	return line.String()
}

type accessClaims struct {
	Issuer   string          `json:"iss"`
	Subject  string          `json:"sub"`
	Audience oneOrMany       `json:"aud"`
	Expires  float64         `json:"exp"`
	Client   string          `json:"client_id"`
	Scope    string          `json:"scope"`
	Act      json.RawMessage `json:"act"`
}

type oneOrMany []string

func (a *oneOrMany) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = oneOrMany{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// judge looks at an Authorization header.
func (v *verifier) judge(ctx context.Context, authorization string) verdict {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		return verdict{API: v.name, Verdict: "refused", Reason: "there is no access token"}
	}
	claims, signed := v.read(ctx, token)
	said := verdict{
		API: v.name, Audience: strings.Join(claims.Audience, " "), Subject: claims.Subject, Client: claims.Client, Scope: claims.Scope, Act: claims.Act,
		Checks: []check{
			{"signature", "by a key of the provider", orText(signed, "by a key of the provider"), signed == nil},
			{"iss", v.issuer, claims.Issuer, claims.Issuer == v.issuer},
			{"aud", v.audience, strings.Join(claims.Audience, ", "), slices.Contains(claims.Audience, v.audience)},
			v.checkEnd(claims),
		},
	}
	said.Verdict, said.Reason = "accepted", "the token is for "+v.name+", good, and signed by the provider"
	for _, c := range said.Checks {
		if !c.OK {
			said.Verdict, said.Reason = "refused", "its "+c.What+" is wrong: wanted "+c.Want+", got "+c.Got
			break
		}
	}
	if signed != nil { // whatever it says, nobody has vouched for it
		said.Subject, said.Client, said.Scope, said.Act, said.Audience = "", "", "", nil, ""
	}
	return said
}

func (v *verifier) checkEnd(claims accessClaims) check {
	c := check{What: "exp", Want: "in the future", Got: "in the future"}
	c.OK = v.now().Before(time.Unix(int64(min(claims.Expires, 1e11)), 0))
	if !c.OK {
		c.Got = "in the past"
	}
	return c
}

func orText(err error, otherwise string) string {
	if err != nil {
		return err.Error()
	}
	return otherwise
}

// read takes a JWT apart. Without an error the provider has signed it, as an access token.
func (v *verifier) read(ctx context.Context, token string) (claims accessClaims, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return claims, errors.New("it is no JWT")
	}
	var header struct{ Alg, Kid, Typ string }
	if decodePart(parts[0], &header) != nil || decodePart(parts[1], &claims) != nil {
		return claims, errors.New("it is no JWT")
	}
	if header.Typ != "at+jwt" { // an ID token is none (RFC 9068 §4, RFC 8725 §3.11)
		return claims, errors.New("it is no access token")
	}
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil {
		return claims, errors.New("it is no JWT")
	}
	key, err := v.key(ctx, header.Kid)
	if err != nil {
		return claims, err
	}
	return claims, key.verify(header.Alg, parts[0]+"."+parts[1], signature)
}

func decodePart(part string, into any) error {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

// key finds a key of the provider's, and reads them anew if it is not among those that are known.
func (v *verifier) key(ctx context.Context, id string) (jwk, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if k, ok := v.keys[id]; ok {
		return k, nil
	}
	if v.keys == nil || v.now().Sub(v.fetched) > keyPause {
		keys, err := v.fetch(ctx)
		if err != nil {
			return jwk{}, errors.New("the provider’s keys cannot be read")
		}
		v.keys, v.fetched = keys, v.now()
	}
	if k, ok := v.keys[id]; ok {
		return k, nil
	}
	return jwk{}, errors.New("by nobody whom the provider knows")
}

func (v *verifier) fetch(ctx context.Context) (map[string]jwk, error) {
	var about struct {
		Issuer string
		JWKS   string `json:"jwks_uri"`
	}
	if err := v.get(ctx, v.issuer+"/.well-known/openid-configuration", &about); err != nil {
		return nil, err
	}
	if about.Issuer != v.issuer || !strings.HasPrefix(about.JWKS, v.issuer+"/") {
		return nil, errors.New("the document is somebody else's")
	}
	var set struct{ Keys []jwk }
	if err := v.get(ctx, about.JWKS, &set); err != nil {
		return nil, err
	}
	keys := map[string]jwk{}
	for _, k := range set.Keys {
		keys[k.Kid] = k
	}
	return keys, nil
}

func (v *verifier) get(ctx context.Context, address string, into any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", agent(v.name))
	r.Header.Set("Accept", "application/json")
	res, err := v.client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", res.StatusCode)
	}
	return json.NewDecoder(io.LimitReader(res.Body, maxDocument)).Decode(into)
}
