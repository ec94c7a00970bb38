package credential

import (
	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
)

// Step is one request that Token would make, in order; a chain has several.
type Step struct {
	Credential string
	Provider   string // "" = no provider is asked
	Request    *provider.Sketch
	Note       string // what is done where no request is made: "a JWT signed by Doorward, 60 s …"
}

// Steps tells what Token would do for who without doing it, for `doorward explain`. Where goes is the header or cookie. An
// identity without tokens is taken as one that has them: explain knows claims only.
func (s *Source) Steps(who *identity.Identity) (steps []Step, where string, err error) {
	if who == nil && s.Personal() {
		return nil, "", nobody(s)
	}
	if s.subject == nil && s.conf.Flow == flowExchange && who.Issuer != s.client.Issuer() {
		return nil, "", foreign(s, who)
	}
	steps, err = s.flow.steps(s, who)
	if err != nil {
		return nil, "", err
	}
	return steps, s.place.String(), nil
}

// step is one request to this source's provider.
func (s *Source) step(r provider.TokenRequest, note string) ([]Step, error) {
	sketch, err := s.client.Sketch(r)
	if err != nil {
		return nil, s.refusal(err)
	}
	return []Step{{Credential: s.name, Provider: s.client.Name(), Request: sketch, Note: note}}, nil
}

// stepsBefore are those by which the tokens come that this source trades.
func (s *Source) stepsBefore(who *identity.Identity) (steps []Step, err error) {
	if s.subject != nil {
		if steps, _, err = s.subject.Steps(who); err != nil {
			return nil, err
		}
	}
	if s.actor != nil {
		actor, _, err := s.actor.Steps(nil)
		if err != nil {
			return nil, err
		}
		steps = append(steps, actor...)
	}
	return steps, nil
}

// sketched is a subject of which only the type is known.
func (s *Source) sketched() subject {
	switch {
	case s.subject != nil:
		return subject{kind: s.subject.kind()}
	case s.conf.Subject == idToken:
		return subject{kind: provider.TypeIDToken}
	}
	return subject{kind: provider.TypeAccessToken}
}

func (s *Source) subjectNote() string {
	note := "subject: the caller's access token"
	switch {
	case s.subject != nil:
		note = "subject: the token of credential " + s.subject.name
	case s.conf.Subject == idToken:
		note = "subject: the caller's ID token"
	}
	if s.actor != nil {
		note += "; actor: the token of credential " + s.actor.name
	}
	return note
}
