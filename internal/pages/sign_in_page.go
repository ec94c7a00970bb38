package pages

import (
	"cmp"
	"net/http"
	"slices"
)

// SignIn is the page on which a person chooses a login.
type SignIn struct {
	Host    string // where they are signing in to
	Options []SignInOption
}

// SignInOption is one way of signing in. URL is a path of our own.
type SignInOption struct {
	Label, URL string
	About      string // what it takes, in a few words ("with a code on your phone"); may be empty
	Last       bool   // used last in this browser: it is offered first
}

// SignIn writes that page. Options keep their order, but for the one that was used last.
func (p *Pages) SignIn(w http.ResponseWriter, r *http.Request, s SignIn) {
	page := SignIn{Host: clean(s.Host, maxValue)}
	for _, o := range s.Options {
		if to := link(o.URL); to != "" {
			page.Options = append(page.Options, SignInOption{clean(o.Label, maxLabel), to, clean(o.About, maxLabel), o.Last})
		}
	}
	slices.SortStableFunc(page.Options, func(a, b SignInOption) int {
		return cmp.Compare(rank(a.Last), rank(b.Last))
	})
	p.show(w, r, http.StatusOK, p.signIn, false, "Sign in", page)
}

func rank(last bool) int {
	if last {
		return 0
	}
	return 1
}
