package credential

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/doorward/doorward/flows/provider"
)

// checker collects what is wrong with one Config.
type checker struct {
	*Config
	errs []error
}

func (k *checker) wrong(key, format string, args ...any) {
	k.errs = append(k.errs, fmt.Errorf("credential.%s: %s: %s", k.Name, key, fmt.Sprintf(format, args...)))
}

// only refuses a key that is given and means nothing with this flow: it would be believed to protect something.
func (k *checker) only(key string, given bool, flows ...string) {
	if given && !slices.Contains(flows, k.Flow) {
		k.wrong(key, "it means nothing with flow %q, only with %s", k.Flow, strings.Join(flows, ", "))
	}
}

func (k *checker) needed(key string, given bool, flows ...string) {
	if !given && slices.Contains(flows, k.Flow) {
		k.wrong(key, "it is needed with flow %q", k.Flow)
	}
}

// check reports everything that is wrong, joined.
func check(all []Config, clients map[string]client) error {
	named := make(map[string]*Config, len(all))
	var errs []error
	for i := range all {
		k := &checker{Config: &all[i]}
		k.checkName(named)
		k.checkFlow()
		k.checkProvider(clients)
		k.checkTargets()
		k.checkParameters()
		k.checkPlace()
		named[k.Name] = k.Config
		errs = append(errs, k.errs...)
	}
	for i := range all { // once all names are known
		k := &checker{Config: &all[i]}
		k.checkSubject(named)
		k.checkActor(named)
		errs = append(errs, k.errs...)
	}
	return errors.Join(errs...)
}

func (k *checker) checkName(named map[string]*Config) {
	switch {
	case k.Name == "" || slices.Contains([]string{"session", "none", accessToken, idToken}, k.Name):
		k.wrong("name", "%q names something else", k.Name)
	case named[k.Name] != nil:
		k.wrong("name", "it stands twice")
	}
}

func (k *checker) checkFlow() {
	if flowOf(k.Flow) == nil {
		k.wrong("flow", "%q is none of client_credentials, token_exchange, jwt_bearer, password, assertion, static", k.Flow)
		return
	}
	asking := []string{flowClientCredentials, flowExchange, flowJWTBearer, flowPassword}
	k.only("provider", k.Provider != "", asking...)
	k.only("scopes", len(k.Scopes) > 0, asking...)
	k.only("audience", len(k.Audience) > 0, append(asking, flowAssertion)...)
	k.only("resource", len(k.Resource) > 0, asking...)
	k.only("parameters", len(k.Parameters) > 0, asking...)
	k.only("subject", k.Subject != "", flowExchange, flowJWTBearer)
	k.only("actor", k.Actor != "", flowExchange)
	k.only("requested_token_type", k.RequestedType != "", flowExchange)
	k.only("dialect", k.Dialect != "", flowJWTBearer)
	k.only("username", k.Username != "", flowPassword)
	k.only("password", !k.Password.IsZero(), flowPassword)
	k.only("token", !k.Token.IsZero(), flowStatic)
	k.needed("username", k.Username != "", flowPassword)
	k.needed("password", !k.Password.IsZero(), flowPassword)
	k.needed("token", !k.Token.IsZero(), flowStatic)
	k.needed("audience", len(k.Audience) > 0, flowAssertion)
}

func (k *checker) checkProvider(clients map[string]client) {
	if f := flowOf(k.Flow); f == nil || !f.asks() {
		return
	}
	c := clients[k.Provider]
	switch {
	case k.Provider == "":
		k.wrong("provider", "it is needed with flow %q", k.Flow)
	case c == nil:
		k.wrong("provider", "there is no provider %q", k.Provider)
	case c.ClientID() == "":
		k.wrong("provider", "%q has no client_id: it only checks bearer tokens", k.Provider)
	}
}

// checkTargets checks what tokens are for. An exchange without a target would yield a token for everybody (TX-5, TX-8).
func (k *checker) checkTargets() {
	for _, scope := range k.Scopes {
		if !isScope(scope) {
			k.wrong("scopes", "%q is no scope (RFC 6749 §3.3): each stands in a string of its own, without spaces", scope)
		}
	}
	for _, audience := range k.Audience {
		if audience == "" || !isText(audience) {
			k.wrong("audience", "%q is empty, or holds control characters", audience)
		}
	}
	for _, resource := range k.Resource {
		if err := provider.CheckResource(resource); err != nil {
			k.wrong("resource", "%v", err)
		}
	}
	if k.Flow == flowExchange && len(k.Audience)+len(k.Resource)+len(k.Scopes) == 0 {
		k.wrong("audience", "an exchange needs a target: audience, resource or scopes")
	}
	if k.Dialect != "" && k.Dialect != provider.DialectRFC7523 && k.Dialect != provider.DialectEntraOBO {
		k.wrong("dialect", "%q is none of rfc7523, entra_obo", k.Dialect)
	}
	if k.Dialect == provider.DialectEntraOBO {
		if len(k.Audience)+len(k.Resource) > 0 {
			k.wrong("audience", "entra_obo knows neither audience nor resource, only scopes such as api://x/.default")
		}
		if len(k.Scopes) == 0 {
			k.wrong("scopes", "entra_obo needs the scope of the target, such as api://x/.default")
		}
	}
	if !slices.Contains([]string{"", accessToken, idToken, jwt}, k.RequestedType) {
		k.wrong("requested_token_type", "%q is none of access_token, id_token, jwt", k.RequestedType)
	}
}

// checkParameters keeps parameters from changing what the other keys say.
func (k *checker) checkParameters() {
	for name := range k.Parameters {
		if name == "" || !isText(name) || provider.ReservedGrant(name) {
			k.wrong("parameters", "%q is set by Doorward itself", name)
		}
	}
}

// checkSubject allows two exchanges at most, of which the first begins with a token that is there (TX-9).
func (k *checker) checkSubject(named map[string]*Config) {
	if k.Subject == idToken && k.Dialect == provider.DialectEntraOBO {
		k.wrong("subject", "entra_obo takes access tokens only")
	}
	if k.Subject == "" || k.Subject == accessToken || k.Subject == idToken {
		return
	}
	first := named[k.Subject]
	switch {
	case first == nil:
		k.wrong("subject", "%q is neither access_token nor id_token nor the name of a credential", k.Subject)
	case first == k.Config:
		k.wrong("subject", "it names the credential itself")
	case first.Flow == flowStatic:
		k.wrong("subject", "%q is a fixed secret, which no provider exchanges", k.Subject)
	case first.Subject == k.Name:
		k.wrong("subject", "%q and %q are each the subject of the other", k.Name, k.Subject)
	case first.Subject != "" && first.Subject != accessToken && first.Subject != idToken:
		k.wrong("subject", "%q is a chain already; at most two exchanges follow each other", k.Subject)
	}
}

func (k *checker) checkActor(named map[string]*Config) {
	if k.Actor == "" {
		return
	}
	if actor := named[k.Actor]; actor == nil || actor.Flow != flowClientCredentials {
		k.wrong("actor", "%q is not the name of a credential with flow client_credentials", k.Actor)
	}
}

// isScope is scope-token of RFC 6749 §3.3.
func isScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

func isText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}
