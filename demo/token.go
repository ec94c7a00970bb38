package demo

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// token is an access token, for looking at. Nothing here checks it.
type token struct {
	Header, Claims string // indented JSON; "" if the token is none that can be read
	Ends           string // when; "" = the token doesn't say
	Left           string // until then; "" = it has ended
}

// readToken takes apart what an Authorization header holds, or returns nil if there is no token.
func readToken(authorization string, now time.Time) *token {
	scheme, text, ok := strings.Cut(authorization, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	t := &token{}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return t
	}
	head, err := indent(parts[0])
	if err != nil {
		return t
	}
	claims, err := indent(parts[1])
	if err != nil {
		return t
	}
	t.Header, t.Claims = head, claims
	var times struct {
		Exp float64 `json:"exp"`
	}
	if json.Unmarshal([]byte(claims), &times) == nil && times.Exp > 0 && times.Exp < 1e11 {
		end := time.Unix(int64(times.Exp), 0).UTC()
		t.Ends = end.Format("15:04:05") + " UTC"
		if left := end.Sub(now).Round(time.Second); left > 0 {
			t.Left = left.String()
		}
	}
	return t
}

func indent(part string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = json.Indent(&out, raw, "", "  ")
	return out.String(), err
}
