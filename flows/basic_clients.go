package flows

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
)

// BasicClients authenticates by HTTP Basic with an OAuth client's id and secret, proved by the client credentials
// grant (RFC 6749 §4.4) at a provider; scopes are asked for and may be none. Like Basic, it is for routes that accept
// basic, and is to be called before anything is served. Who calls is a machine. Both id and secret may be encoded as
// RFC 6749 §2.3.1 has it, or stand as they are.
func (f *Flows) BasicClients(provider string, scopes []string) (*Basic, error) {
	client := f.deps.Providers[provider]
	if client == nil {
		return nil, fmt.Errorf("basic: there is no provider %q", provider)
	}
	accounts := "clients of " + client.Issuer()
	t := f.clientTries[accounts]
	if t == nil {
		t = newTries(accounts, maxPasswordGrants, codeProviderDown, maxUserStrikes)
		f.clientTries[accounts] = t
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
	t.username, t.password = formDecoded(t.username, t.password) // first: failures are counted by the id
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

// formDecoded undoes the encoding of RFC 6749 §2.3.1, where a client has done it: where there is a "%", and both are what
// that encoding yields, and text. Many clients send both as they are, and what they send has hardly ever a "%".
// Without one nothing is decoded, a "+" neither: secrets are often base64.
func formDecoded(id string, proof secret.String) (string, secret.String) {
	if !strings.Contains(id, "%") && !strings.Contains(proof.Reveal(), "%") {
		return id, proof
	}
	plainID, err := url.QueryUnescape(id)
	plainProof, err2 := url.QueryUnescape(proof.Reveal())
	if err != nil || err2 != nil || !plain(plainID) || !plain(plainProof) {
		return id, proof
	}
	return plainID, secret.New(plainProof)
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
