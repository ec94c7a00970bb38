package personal

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

// attempt is a form that was not accepted.
type attempt struct {
	asked  wish
	failed *pages.Error
}

// shown is a token as programs see it. Without Token it is one of the list.
type shown struct {
	ID         string    `json:"id"`
	Token      string    `json:"token,omitempty"` // once, to whoever made it
	Name       string    `json:"name"`
	CreatedAt  time.Time `json:"created_at"`
	EndsAt     time.Time `json:"ends_at"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
	Scopes     []string  `json:"scopes"`
	Hosts      []string  `json:"hosts"`
	ReadOnly   bool      `json:"read_only"`
}

func (r *listedRecord) shown() shown {
	s := shown{
		ID: r.id.String(), Name: r.Name, CreatedAt: second(r.Created), EndsAt: second(r.Ends), LastUsedAt: second(r.Used),
		Scopes: append([]string{}, r.Scopes...), Hosts: []string{}, ReadOnly: r.ReadOnly,
	}
	for _, o := range origins(r.Hosts) {
		s.Hosts = append(s.Hosts, o.Authority())
	}
	return s
}

func second(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC().Truncate(time.Second)
}

// show writes the list: to a person as the page, with its form.
func (t *Tokens) show(w http.ResponseWriter, r *http.Request, p *person, a attempt) error {
	all, err := t.list(r.Context(), p.index, p.who)
	if err != nil {
		return err
	}
	here := slices.DeleteFunc(slices.Clone(all), func(rec *listedRecord) bool { return !rec.within(p.reach) })
	if pages.KindOf(r) == pages.Program {
		list := struct {
			Tokens []shown `json:"tokens"`
		}{[]shown{}}
		for _, rec := range here {
			list.Tokens = append(list.Tokens, rec.shown())
		}
		t.deps.Pages.JSON(w, r, http.StatusOK, list)
		return nil
	}
	page := pages.PersonalTokens{Origin: p.here.String(), Host: p.here.Authority(), Person: cmp.Or(p.who.Email, p.who.Username, p.who.Name), Action: t.prefix + path, Full: len(all) >= maxTokens, Form: t.form(p, a.asked)}
	for _, rec := range here {
		s := rec.shown()
		page.Tokens = append(page.Tokens, pages.PersonalToken{
			ID: s.ID, Name: s.Name, Ends: day(s.EndsAt), Used: minute(s.LastUsedAt), Hosts: s.Hosts, Scopes: s.Scopes, ReadOnly: s.ReadOnly,
		})
	}
	if a.failed != nil {
		page.Status, page.Notice = http.StatusBadRequest, a.failed.Detail
		if a.failed.Code == codeTooMany {
			page.Status = http.StatusTooManyRequests
			w.Header().Set("Retry-After", seconds(a.failed.RetryAfter))
		}
	}
	t.deps.Pages.PersonalTokens(w, r, page)
	return nil
}

// ofLogin are scopes that say what a login may tell us (OpenID Connect Core §5.4 and §11), and nothing about what may be done.
var ofLogin = map[string]bool{"openid": true, "profile": true, "email": true, "address": true, "phone": true, "offline_access": true}

// form is what a person may choose, as they have chosen it already, if they have.
func (t *Tokens) form(p *person, asked wish) pages.PersonalTokenForm {
	f := pages.PersonalTokenForm{Name: asked.name, ReadOnly: asked.readOnly}
	chosen := asked.life
	if chosen == 0 {
		chosen = min(usualLife, t.longest)
	}
	lives := []time.Duration{24 * time.Hour, 7 * 24 * time.Hour, usualLife, 90 * 24 * time.Hour, 180 * 24 * time.Hour, 365 * 24 * time.Hour}
	lives = slices.DeleteFunc(lives, func(d time.Duration) bool { return d > t.longest })
	if len(lives) == 0 || chosen <= t.longest && chosen >= shortestLife && !slices.Contains(lives, chosen) {
		lives = append(lives, min(chosen, t.longest))
		slices.Sort(lives)
	}
	for _, d := range lives {
		f.Lifetimes = append(f.Lifetimes, pages.Choice{Value: seconds(d), Label: inWords(d), Chosen: d == chosen})
	}
	for _, s := range p.who.Scopes {
		if ofLogin[s] {
			continue // a box that is good for nothing is worse than none; programs may still name it
		}
		f.Scopes = append(f.Scopes, pages.Choice{Value: s, Label: s, Chosen: slices.Contains(asked.scopes, s)})
	}
	if len(p.reach) > 1 { // else there is nothing to choose
		for _, o := range p.reach {
			f.Hosts = append(f.Hosts, pages.Choice{Value: o.String(), Label: o.Authority(), Chosen: t.wanted(asked, p, o)})
		}
	}
	return f
}

func (t *Tokens) wanted(asked wish, p *person, o origin.Origin) bool {
	if len(asked.hosts) == 0 {
		return o == p.here
	}
	return slices.ContainsFunc(asked.hosts, func(s string) bool { w, ok := t.host(s); return ok && w == o })
}

// hand gives a new token to whoever made it. It is never shown again.
func (t *Tokens) hand(w http.ResponseWriter, r *http.Request, p *person, tok token, made *listedRecord) error {
	s := made.shown()
	s.Token = tok.text()
	if pages.KindOf(r) == pages.Program {
		t.deps.Pages.JSON(w, r, http.StatusCreated, s)
		return nil
	}
	at := p.here
	if !slices.Contains(made.Hosts, at.String()) {
		at = origins(made.Hosts)[0]
	}
	t.deps.Pages.NewPersonalToken(w, r, pages.NewPersonalToken{
		Origin: at.String(), Token: s.Token, Back: t.prefix + path,
		About: pages.PersonalToken{ID: s.ID, Name: s.Name, Ends: day(s.EndsAt), Hosts: s.Hosts, Scopes: s.Scopes, ReadOnly: s.ReadOnly},
	})
	return nil
}

func day(t time.Time) string { return t.Format("2 January 2006") }

func minute(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format("2 January 2006, 15:04 UTC")
}

func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}
