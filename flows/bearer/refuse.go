package bearer

import (
	"errors"
	"strings"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/pages"
)

// The stable codes of docs/errors.md that this package answers with.
const (
	codeUnavailable = "provider_unavailable"
	codeOverloaded  = "overloaded"
	codeStore       = "store_unavailable"
)

const (
	retryAfter     = 5 * time.Second // where nobody said anything better
	maxDescription = 300             // bytes
)

func refusal(word, description string) *credentials.Refusal {
	return &credentials.Refusal{Word: word, Description: strings.ToValidUTF8(description[:min(len(description), maxDescription)], "")}
}

// failure turns a provider's error into an answer. What lies at the token is told to whoever sent it, with what was expected
// and what came, and never with the token. Whatever else went wrong, the token cannot be judged: that is neither yes nor no.
func (c *Checker) failure(p *provider.Client, err error) error {
	var e *provider.Error
	if !errors.As(err, &e) {
		return &pages.Error{Code: codeUnavailable, Err: err, RetryAfter: retryAfter}
	}
	if what := fault(e.Code); what != "" && e.Kind == provider.Misbehaved {
		if e.Detail != "" {
			what += ": " + e.Detail
		}
		r := refusal(credentials.InvalidToken, what)
		r.Cause = err
		return r
	}
	if e.Kind != provider.Unavailable { // nobody but the operator can mend it
		c.v.log.Error("bearer tokens cannot be checked", "provider", p.Name(), "error", err)
	}
	return &pages.Error{Code: codeUnavailable, Detail: "The token cannot be checked at the moment.", Err: err, RetryAfter: max(e.RetryAfter, retryAfter)}
}

// fault says what is wrong with a token for those codes of a provider.Error that lie at the token; "" = it does not.
func fault(code string) string {
	switch code {
	case "malformed_token":
		return "token is malformed"
	case "bad_type", "not_an_access_token":
		return "token is not an access token"
	case "bad_alg":
		return "token is signed in a way that is not accepted"
	case "bad_signature":
		return "token's signature is not valid"
	case "bad_issuer":
		return "token is of another issuer"
	case "bad_audience", "bad_azp":
		return "token is not meant for this API"
	case "bad_subject":
		return "token's subject cannot be used"
	case "bad_claims", "claims_too_large":
		return "token's claims cannot be used"
	case "token_expired":
		return "token is expired"
	case "token_not_yet_valid":
		return "token is not valid yet"
	case "token_too_old":
		return "token is too old"
	case "token_bound":
		return "token is bound to a key"
	case "inactive":
		return "token is not active"
	}
	return ""
}

// codeOf returns the code of a refusal's cause, "" if it has none.
func codeOf(r *credentials.Refusal) string {
	var e *provider.Error
	if errors.As(r.Cause, &e) {
		return e.Code
	}
	return ""
}
