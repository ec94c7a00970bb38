package credential

import (
	"encoding/base64"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

const (
	unknownLife = time.Minute      // of a token that says nothing about its end (CC-3)
	mostLife    = 24 * time.Hour   // for which a token is kept, however long it lives (S16)
	leeway      = time.Minute      // by which a provider's clock may be wrong, as with every other token
	mostSkew    = 10 * time.Second // by which a token is dropped before its end: clocks differ, and requests travel
	mostLead    = 5 * time.Minute  // by which a renewal comes before the end
)

// grant is a token that was obtained, and what its life depends on.
type grant struct {
	tokens *identity.Tokens
	// source is the end of the token that another credential obtained and that this one was made from; zero = none. A
	// renewal may begin with another.
	source time.Time
	// limit is the end of what the caller has shown, which no renewal can move; zero = not known.
	limit time.Time
	// until is set where Doorward made the token itself: it is handed out until then, and ends later.
	until time.Time
	ends  time.Time // the earliest of all ends; set by bound
}

// bound sets when the grant ends: exp and expires_in of the answer, the end of what it was made from, the end of the
// session, whichever is first. A token that has ended when it comes is an error of its provider.
func (g *grant) bound(now time.Time) error {
	if g.tokens.ReceivedAt.IsZero() {
		g.tokens.ReceivedAt = now
	}
	exp := jwtEnd(g.tokens.AccessToken)
	if !g.tokens.Expiry.IsZero() && !exp.After(now) && now.Sub(exp) < leeway { // the provider's clock is behind; expires_in knows none
		exp = exp.Add(leeway)
	}
	own := earliest(g.tokens.Expiry, exp, g.until)
	if own.IsZero() {
		own = g.tokens.ReceivedAt.Add(unknownLife)
	}
	if !own.After(now) {
		return &provider.Error{Kind: provider.Misbehaved, Code: "token_expired", Detail: "the token that came has ended already, at " + own.UTC().Format(time.RFC3339) + "; do the clocks differ?"}
	}
	g.ends = earliest(own, g.source, g.limit, now.Add(mostLife))
	if g.until.IsZero() {
		g.tokens.Expiry = g.ends
	}
	return nil
}

// end is when it is no longer handed out.
func (g *grant) end() time.Time {
	if !g.until.IsZero() {
		return g.ends
	}
	return g.ends.Add(-max(0, min(mostSkew, g.ends.Sub(g.tokens.ReceivedAt)/10)))
}

// next is when it is to be renewed, in Unix nanoseconds: after 80 to 85 % of its life, or five minutes before its end if
// that is later, by chance, so that tokens and replicas which began together do not stay so. A provider that answers with
// the same token until that ends is asked again when four fifths of the rest have passed. What a renewal cannot prolong is not
// renewed.
func (g *grant) next() int64 {
	if !g.until.IsZero() || !g.limit.IsZero() && !g.ends.Before(g.limit) {
		return math.MaxInt64
	}
	lead := min(mostLead, g.ends.Sub(g.tokens.ReceivedAt)/5)
	return g.ends.Add(-lead + jitter(lead/4)).UnixNano()
}

// jitter is a random part of d. It hides nothing, so it needs no secret chance.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}

// earliest is the first of those times that are known.
func earliest(times ...time.Time) (first time.Time) {
	for _, t := range times {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// jwtEnd looks into what may be a JWT for its end. It only ever makes a life shorter, so it is believed unverified.
func jwtEnd(token secret.String) time.Time {
	_, rest, ok := strings.Cut(token.Reveal(), ".")
	payload, signature, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.Contains(signature, ".") {
		return time.Time{}
	}
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		return time.Time{}
	}
	var claims struct {
		Exp float64 `json:"exp"`
	}
	const lastYear = 253402300799 // 9999-12-31, beyond which time.Time cannot be compared with ease
	if json.Unmarshal(text, &claims) != nil || claims.Exp <= 0 || claims.Exp > lastYear {
		return time.Time{}
	}
	return time.Unix(int64(claims.Exp), 0)
}
