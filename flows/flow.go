package flows

import (
	"context"
	"fmt"
	"net/url"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
)

// flow is what one way of signing in through the provider's own pages adds to the
// beginning and the end that all share.
type flow interface {
	// authorize returns where to send the browser that begins a.
	authorize(ctx context.Context, a *attempt, how authorization) (string, error)
	// redeem makes an identity of an answer whose state, issuer and singleness were
	// checked, and that is no error. It is called once in the life of an attempt.
	redeem(ctx context.Context, a *attempt, answer answer) (*identity.Identity, error)
}

// authorization is what the shared beginning contributes to an authorization request.
type authorization struct {
	redirectURI string
	state       string
	prompt      string // "" = as configured
}

// codeBadAnswer is the code of a provider.Error for an answer that no provider of ours can have
// meant: its parameters don't fit.
const codeBadAnswer = "bad_answer"

// answer is what the provider sent the browser back with.
type answer struct {
	url.Values
	redirectURI string // as it stood in the authorization request
}

// newFlow makes the flow of a login. Another flow is another case and another file.
func newFlow(client *provider.Client, l Login) (flow, error) {
	switch l.Flow {
	case "authorization_code":
		return newAuthorizationCode(client, l)
	}
	return nil, fmt.Errorf("flow: there is no flow %q", l.Flow)
}
