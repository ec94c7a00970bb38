package flows

import (
	"net/http"
	"slices"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

// signIn is GET …/sign_in?rd=: the page on which a person chooses a login. login= names those
// that a route offers, else they are those of the route that rd leads to; any of the configured ones is harmless, since a route refuses
// sessions of logins that it doesn't list. Where login= names one, the choice is made already.
func (f *Flows) signIn(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	query := r.URL.Query()
	how := beginning{back: f.target(here, query.Get("rd"))}
	chosen, ok := f.choose(query["login"], here, how.back)
	if !ok {
		chosen = f.usual(here, how.back)
	}
	chosen = forBrowsers(chosen)
	if p := query.Get("prompt"); p == "login" || p == "select_account" {
		how.prompt = p
	}
	if pages.KindOf(r) == pages.Program || len(chosen) == 0 {
		return f.loginRequired(here, how.back, chosen)
	}
	along, err := passed(query, chosen)
	if err != nil {
		return err
	}
	if ok && len(query["login"]) == 1 {
		how.passed = along
		return f.begin(w, r, here, chosen[0], how)
	}
	page := pages.SignIn{Host: here.Authority()}
	last := f.last(r, here)
	for _, l := range chosen { // the page puts the last one first
		how.passed = l.passes(along)
		page.Options = append(page.Options, pages.SignInOption{Label: l.label, URL: f.choiceURL(how, l), About: l.about(), Last: l == last})
	}
	f.deps.Pages.SignIn(w, r, page)
	return nil
}

// choiceURL is where a choice leads. A link that no page shows because of its length would be one choice less,
// so it does without what made it long.
func (f *Flows) choiceURL(how beginning, l *login) string {
	start := f.prefix + "/start?"
	if to := start + queryOf(how, l); len(to) <= maxStartURL {
		return to
	}
	return start + queryOf(beginning{prompt: how.prompt}, l)
}

// otherWays is where one chooses among the logins with which one gets to back, "" if there is none but l.
func (f *Flows) otherWays(here origin.Origin, back string, l *login) string {
	ways := forBrowsers(f.usual(here, back))
	if !slices.ContainsFunc(ways, func(other *login) bool { return other != l }) {
		return ""
	}
	return f.prefix + "/sign_in?" + f.query(here, beginning{back: back}, ways)
}

// about says in a few words what a login takes.
func (l *login) about() string {
	switch {
	case l.device != nil:
		return "with a code on another device"
	case l.ciba != nil:
		return "approve on your phone"
	case l.password != nil:
		return "user name and password"
	}
	return ""
}

// choose finds logins by name; no names are the usual ones of a target.
func (f *Flows) choose(names []string, here origin.Origin, back string) (chosen []*login, ok bool) {
	if len(names) == 0 {
		return f.usual(here, back), true
	}
	chosen, ok = f.find(names)
	if !ok || slices.ContainsFunc(chosen, func(l *login) bool { return !l.acts() }) {
		return nil, false
	}
	return chosen, true
}

// usual are the logins among which one chooses who says nothing but where to: those that get there, if that is
// known, else all that act. Any other would ask for a password, and the page would then refuse whoever comes.
func (f *Flows) usual(here origin.Origin, back string) []*login {
	if offered := f.offered(here, back); len(offered) > 0 {
		return offered
	}
	return f.acting()
}

// offered are the logins that the route of a checked target takes and a browser can begin; none = not known.
func (f *Flows) offered(here origin.Origin, back string) []*login {
	if f.deps.Offers == nil {
		return nil
	}
	there, path, err := split(here, back)
	if err != nil {
		return nil
	}
	found, ok := f.find(f.deps.Offers(there, path))
	if !ok {
		return nil
	}
	return slices.DeleteFunc(forBrowsers(found), func(l *login) bool { return !l.acts() })
}

// find finds each of these names once.
func (f *Flows) find(names []string) (found []*login, ok bool) {
	for _, name := range names {
		l := f.byName[name]
		if l == nil || slices.Contains(found, l) {
			return nil, false
		}
		found = append(found, l)
	}
	return found, true
}

// acts reports whether anybody may begin a login: implicit, device, CIBA and password are off until a
// route names them (CONTRACT §2, P117).
func (l *login) acts() bool { return !l.optIn || l.named }

func (f *Flows) acting() (all []*login) {
	for _, l := range f.logins {
		if l.acts() {
			all = append(all, l)
		}
	}
	return all
}

// forBrowsers leaves out what only HTTP Basic can begin.
func forBrowsers(logins []*login) []*login {
	return slices.DeleteFunc(slices.Clone(logins), func(l *login) bool { return l.basicOnly })
}

// loginPage is the page of ours on which a login begins that doesn't lead to the provider's own pages.
func (f *Flows) loginPage(l *login, how beginning) string {
	page := "/password"
	switch {
	case l.device != nil:
		page = "/device"
	case l.ciba != nil:
		page = "/ciba"
	}
	how.prompt, how.passed = "", l.passes(how.passed) // these always ask, and nobody is signed in by having been before
	return f.prefix + page + "?" + queryOf(how, l)
}
