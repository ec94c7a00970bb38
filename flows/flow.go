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
	claims      string // that the provider wants beside those that are configured; "" = none (step_up.go)
}

// codeBadAnswer is the code of a provider.Error for an answer that no provider of ours can have
// meant: its parameters don't fit.
const codeBadAnswer = "bad_answer"

// answer is what the provider sent the browser back with.
type answer struct {
	url.Values
	redirectURI string // as it stood in the authorization request
	posted      bool   // it came in a body and not in an address (post.go)
	handle      []byte // under which it was parked there
}

func badAnswer(detail string) error {
	return &provider.Error{Kind: provider.Misbehaved, Code: codeBadAnswer, Detail: detail}
}

// setFlow makes the flow of a login. Another flow is another case and another file.
func (l *login) setFlow(c Login) (err error) {
	if err := checkPass(c); err != nil {
		return err
	}
	switch c.Flow {
	case "authorization_code":
		l.flow, err = newAuthorizationCode(l.client, c)
	case "implicit", "hybrid":
		if l.front, err = newFrontChannel(l.client, c); err == nil {
			l.flow = l.front
		}
	case "device":
		l.device, err = newDevice(l.client, c)
	case "ciba":
		l.ciba, err = newCIBA(l.client, c)
	case "password":
		l.password, err = newPassword(l.client.Issuer(), c)
	default:
		err = fmt.Errorf("flow: there is no flow %q", c.Flow)
	}
	return err
}
