package flows

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
)

// BasicClients authenticates by HTTP Basic with an OAuth client's id and secret, proved by the client credentials
// grant (RFC 6749 §4.4) at a provider; scopes are asked for and may be none. Like Basic, it is for routes that accept
// basic, and is to be called before anything is served. Who calls is a machine.
func (f *Flows) BasicClients(provider string, scopes []string) (*Basic, error) {
	client := f.deps.Providers[provider]
	if client == nil {
		return nil, fmt.Errorf("basic: there is no provider %q", provider)
	}
	key := "client of " + client.Issuer()
	t := f.clientTries[key]
	if t == nil {
		t = newTries(maxPasswordGrants, codeProviderDown, maxUserStrikes)
		t.accounts, f.clientTries[key] = key, t
	}
	return f.basic(&clientsJudge{f, client, slices.Clone(scopes), t})
}

// clientsJudge asks a provider for a token in the name of whoever calls.
type clientsJudge struct {
	flows  *Flows
	client *provider.Client
	scopes []string
	tries  *tries
}

func (j *clientsJudge) scope() []string {
	return append([]string{"", "clients", j.client.Name(), j.client.Issuer()}, j.scopes...) // no login has no name
}

func (j *clientsJudge) stamp([]byte) []byte { return nil }
func (j *clientsJudge) current() bool       { return true }

func (j *clientsJudge) prove(ctx context.Context, t typed, name digestOf) (*identity.Identity, error) {
	return j.flows.try(ctx, j.tries, t, name, func(ctx context.Context) (*identity.Identity, *pages.Error, bool) {
		who, err := j.client.ProveClient(ctx, t.username, t.password, j.scopes)
		switch {
		case err != nil:
			answer, verdict := clientError(err)
			return nil, answer, verdict
		case !who.Machine || who.Issuer != j.client.Issuer() || who.Provider != j.client.Name() || who.Login != "":
			return nil, &pages.Error{Code: codeProviderBad, Err: fmt.Errorf("provider %s: what a client proved is no machine of this provider", j.client.Name())}, false
		}
		return who, nil, true
	})
}

// clientError makes an answer of what the provider said of a client that is not us.
func clientError(err error) (answer *pages.Error, verdict bool) {
	var e *provider.Error
	if !errors.As(err, &e) {
		return &pages.Error{Code: codeProviderBad, Err: err}, false
	}
	switch {
	case e.Kind == provider.Unavailable, e.Kind == provider.Misbehaved:
	case e.Code == "unauthorized_client", e.Code == "invalid_scope", e.Code == "access_denied": // the secret was right
		return &pages.Error{
			Code:   codeDenied,
			Detail: "The provider knows this client, and does not let it have a token by the client credentials grant, or not with the scopes that are needed here.",
			Err:    err,
		}, true
	case e.Kind == provider.Refused:
		return &pages.Error{Code: codeWrongCredentials, Detail: "The client id or the client secret is not right.", Err: err}, true
	}
	return providerFailure(e, err), false
}
