package flows

import (
	"net/http"
	"net/url"
	"time"

	"github.com/doorward/doorward/internal/origin"
)

const (
	ticketLife = 30 * time.Second
	maxTicket  = 16 << 10 // a code may have 4 kB and more (RSP-5), sealed and encoded twice
)

// ticket carries the answer of a provider from the one host that is registered there to the host
// where the login began. It is worth nothing to anyone but the browser that began: at
// its destination it is only what the query is elsewhere, and goes through the same checks: the
// attempt's cookie must be there, and the attempt's mark makes it good for one use.
type ticket struct {
	Created int64      `json:"t"`
	Answer  url.Values `json:"a"`
}

// carry sends the browser with its answer to the host where it began. The state was
// found authentic, so that this host cannot be made to seal what strangers send.
func (f *Flows) carry(w http.ResponseWriter, began origin.Origin, provider string, params url.Values) error {
	t := ticket{Created: f.deps.Now().Unix(), Answer: url.Values{}}
	for _, name := range singleParams { // no token of a provider that puts one there ever gets into a URL of ours
		if params.Has(name) {
			t.Answer[name] = params[name]
		}
	}
	sealed := f.sealParameter(purposeTicket, t, bound(began, provider))
	return redirect(w, http.StatusSeeOther, began.String()+f.callbacks[provider].path+"?ticket="+sealed)
}

// openTicket returns the answer that a ticket carries to here.
func (f *Flows) openTicket(here origin.Origin, provider, text string) (url.Values, error) {
	var t ticket
	if len(text) > maxTicket || !f.openParameter(purposeTicket, text, &t, bound(here, provider)) {
		return nil, f.stateError(here, home, "The ticket in the address is not one of ours for this host.")
	}
	if f.deps.Now().Sub(time.Unix(t.Created, 0)) > ticketLife {
		return nil, f.stateError(here, home, "The ticket in the address is older than thirty seconds.")
	}
	return t.Answer, nil
}
