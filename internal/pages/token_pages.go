package pages

import (
	"fmt"
	"net/http"
)

// PersonalTokens is the page on which a person sees, makes and revokes their personal tokens. One form posts name, expires_in,
// scopes, hosts and read_only to Action, one for each token posts revoke.
type PersonalTokens struct {
	Origin string // of this host, for the examples
	Host   string
	Person string // who is signed in; "" = it is not said
	Action string
	Tokens []PersonalToken // the first 200
	Full   bool            // there are as many as there may be: no form
	Form   PersonalTokenForm
	Status int    // 200, or 400 and 429 for a form that was not accepted; the caller sets Retry-After
	Notice string // why
}

// PersonalToken is one of the list. Times are written out for a person.
type PersonalToken struct {
	ID, Name string
	Ends     string
	Used     string // "" = not yet
	Hosts    []string
	Scopes   []string
	ReadOnly bool
}

// PersonalTokenForm is what there is to choose, and what is chosen already.
type PersonalTokenForm struct {
	Name      string
	Lifetimes []Choice
	Scopes    []Choice // none = there is nothing to choose
	Hosts     []Choice // likewise
	ReadOnly  bool
}

// Choice is one value that a field can have.
type Choice struct {
	Value, Label string
	Chosen       bool
	ID           string // set by the page
}

// NewPersonalToken is the page that shows a token, for the only time.
type NewPersonalToken struct {
	Origin string // where it counts, for the examples
	Token  string
	About  PersonalToken
	Back   string // path of the list
}

const (
	maxShownTokens  = 200
	maxShownChoices = 100
)

// PersonalTokens writes that page.
func (p *Pages) PersonalTokens(w http.ResponseWriter, r *http.Request, page PersonalTokens) {
	f := newFormView(w, page.Status, page.Notice, page.Form.Name)
	v := struct {
		PersonalTokens
		Heading, Failure, Reference string
	}{page, "Personal tokens", f.Failure, f.Reference}
	v.Status, v.Notice, v.Form.Name = f.Status, f.Notice, f.Value
	v.Origin, v.Host, v.Person = webAddress(page.Origin), clean(page.Host, maxValue), clean(page.Person, maxLabel)
	v.Tokens = nil
	for _, t := range page.Tokens[:min(len(page.Tokens), maxShownTokens)] {
		v.Tokens = append(v.Tokens, t.clean())
	}
	v.Form.Lifetimes = choices("life", page.Form.Lifetimes)
	v.Form.Scopes = choices("scope", page.Form.Scopes)
	v.Form.Hosts = choices("host", page.Form.Hosts)
	if v.Failure != "" {
		v.Heading = "No token was made" // the notice says why
	}
	p.showForm(w, r, v.Status, p.tokens, Form{Action: page.Action}, v.Heading, v)
}

// NewPersonalToken writes that page. A token that is not plain ASCII is a mistake of ours.
func (p *Pages) NewPersonalToken(w http.ResponseWriter, r *http.Request, page NewPersonalToken) {
	if clean(page.Token, maxValue) != page.Token || page.Token == "" {
		p.Error(w, r, fmt.Errorf("pages: a token of %d bytes that cannot be shown", len(page.Token)))
		return
	}
	page.Origin, page.Back, page.About = webAddress(page.Origin), ownPath(page.Back), page.About.clean()
	p.show(w, r, http.StatusCreated, p.newToken, false, "Your new token", page)
}

func (t PersonalToken) clean() PersonalToken {
	return PersonalToken{
		ID: clean(t.ID, maxLabel), Name: clean(t.Name, maxValue), Ends: clean(t.Ends, maxLabel), Used: clean(t.Used, maxLabel),
		Hosts: cleanAll(t.Hosts), Scopes: cleanAll(t.Scopes), ReadOnly: t.ReadOnly,
	}
}

func cleanAll(list []string) (all []string) {
	for _, s := range list[:min(len(list), maxShownChoices)] {
		all = append(all, clean(s, maxLabel))
	}
	return all
}

// choices are those that can be shown and come back as they are.
func choices(kind string, list []Choice) (all []Choice) {
	for i, c := range list[:min(len(list), maxShownChoices)] {
		if len(c.Value) <= maxValue && clean(c.Value, maxValue) == c.Value {
			all = append(all, Choice{c.Value, clean(c.Label, maxLabel), c.Chosen, fmt.Sprintf("%s-%d", kind, i)})
		}
	}
	return all
}
