package testnet

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Browser is one person's browser. It is not safe for concurrent use: a person clicks one thing
// at a time. Two tabs are two Pages of one Browser.
//
// What it does like Chrome: cookies (Secure, Domain, Path, Max-Age, SameSite with Lax as default,
// __Host- and __Secure- prefixes, 4 kB per cookie), Sec-Fetch-* to trustworthy origins, Origin and Referer
// under the page's Referrer-Policy, redirects, forms, and a page whose script only submits its
// form. It runs no other script and loads no images or styles.
type Browser struct {
	Jar     *Jar
	Header  http.Header              // sent with every request besides its own: Accept-Language, X-Forwarded-For …
	MaxHops int                      // redirects of one navigation, = 20 like Chrome; one more fails the test
	StopAt  func(next *url.URL) bool // not nil and true: this redirect is not followed; the Page is the redirect itself

	transport http.RoundTripper
}

// NewBrowser returns a browser without cookies whose requests go through the transport.
func NewBrowser(transport http.RoundTripper) *Browser {
	return &Browser{Jar: NewJar(), Header: http.Header{}, MaxHops: 20, transport: transport}
}

// Page is what one navigation ended on.
type Page struct {
	URL    *url.URL // of the last request, with the fragment that a redirect carried
	Status int
	Header http.Header
	Body   string
	Hops   []Hop // every request of the navigation, the last one included

	browser *Browser
}

// Hop is one request of a navigation and its answer.
type Hop struct {
	Method   string
	URL      *url.URL
	Request  http.Header
	Form     url.Values // of a form POST
	Status   int
	Header   http.Header
	Location string   // "" unless a redirect
	Sent     []string // names of the cookies that were sent
}

// Open types an address: a user-initiated navigation (Sec-Fetch-Site: none).
func (b *Browser) Open(t testing.TB, address string) *Page {
	t.Helper()
	return b.navigate(t, request{method: http.MethodGet, url: parse(t, address)})
}

// Visit follows a link on a page of another site: initiator is that page's URL.
func (b *Browser) Visit(t testing.TB, initiator, address string) *Page {
	t.Helper()
	return b.navigate(t, request{method: http.MethodGet, url: parse(t, address), initiator: parse(t, initiator), clicked: true})
}

// Post submits a form that a page at initiator holds. initiator "" is the target's own origin.
func (b *Browser) Post(t testing.TB, initiator, address string, form url.Values) *Page {
	t.Helper()
	target := parse(t, address)
	from := target
	if initiator != "" {
		from = parse(t, initiator)
	}
	return b.navigate(t, request{method: http.MethodPost, url: target, initiator: from, form: form, clicked: true})
}

// Fetch is what a script of a page at initiator does with fetch(): Sec-Fetch-Mode cors, redirects
// followed, cookies as for credentials: "include". initiator "" is the target's own origin.
func (b *Browser) Fetch(t testing.TB, initiator, method, address string, form url.Values) *Page {
	t.Helper()
	target := parse(t, address)
	from := target
	if initiator != "" {
		from = parse(t, initiator)
	}
	return b.navigate(t, request{method: method, url: target, initiator: from, form: form, script: true})
}

func parse(t testing.TB, address string) *url.URL {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		t.Fatalf("browser: %q is not an absolute URL (%v)", address, err)
	}
	return u
}

// request is what a navigation begins with.
type request struct {
	method    string
	url       *url.URL
	initiator *url.URL // nil: the person
	policy    string   // Referrer-Policy of the initiator
	form      url.Values
	clicked   bool // user activation
	script    bool // fetch, not a navigation
}

// maxBody is how much of an answer is kept. More fails the test rather than the machine.
const maxBody = 32 << 20

func (b *Browser) navigate(t testing.TB, r request) *Page {
	t.Helper()
	page := &Page{browser: b}
	chain := []*url.URL{}
	for {
		chain = append(chain, r.url)
		out, sent := b.build(t, r, chain)
		res, err := b.transport.RoundTrip(out)
		if err != nil {
			t.Fatalf("browser: %s %s: %v", r.method, r.url, err)
		}
		body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
		_ = res.Body.Close()
		if err != nil || len(body) > maxBody {
			t.Fatalf("browser: %s %s: body of %d bytes: %v", r.method, r.url, len(body), err)
		}
		b.Jar.Set(r.url, res.Header.Values("Set-Cookie"))
		hop := Hop{Method: r.method, URL: r.url, Request: out.Header, Form: r.form, Status: res.StatusCode, Header: res.Header, Sent: sent}
		next := redirect(r, res)
		if next != nil {
			hop.Location = res.Header.Get("Location")
		}
		page.URL, page.Status, page.Header, page.Body = r.url, res.StatusCode, res.Header, string(body)
		page.Hops = append(page.Hops, hop)
		if next == nil || b.StopAt != nil && b.StopAt(next.url) {
			return b.autoSubmit(t, page)
		}
		if len(page.Hops) > b.MaxHops {
			t.Fatalf("browser: more than %d redirects:\n%s", b.MaxHops, page.Trail())
		}
		r = *next
	}
}

// redirect returns the request that follows, or nil if the answer is the end.
func redirect(r request, res *http.Response) *request {
	location := res.Header.Get("Location")
	switch res.StatusCode {
	case 301, 302, 303, 307, 308:
	default:
		return nil
	}
	target, err := r.url.Parse(location)
	if err != nil || location == "" || target.Scheme != "http" && target.Scheme != "https" {
		return nil
	}
	if target.Fragment == "" { // Fetch standard: a redirect inherits the fragment
		target.Fragment, target.RawFragment = r.url.Fragment, r.url.RawFragment
	}
	next := r
	next.url = target
	post := r.method == http.MethodPost
	if res.StatusCode == 303 && r.method != http.MethodHead || post && (res.StatusCode == 301 || res.StatusCode == 302) {
		next.method, next.form = http.MethodGet, nil
	}
	if policy := res.Header.Get("Referrer-Policy"); policy != "" {
		next.policy = policy
	}
	return &next
}

// build makes the request with the headers that Chrome would send.
func (b *Browser) build(t testing.TB, r request, chain []*url.URL) (*http.Request, []string) {
	t.Helper()
	wire := *r.url
	wire.Fragment, wire.RawFragment = "", ""
	var body io.Reader
	if r.form != nil {
		body = strings.NewReader(r.form.Encode())
	}
	out, err := http.NewRequestWithContext(t.Context(), r.method, wire.String(), body)
	if err != nil {
		t.Fatalf("browser: %s %s: %v", r.method, r.url, err)
	}
	out.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36")
	out.Header.Set("Accept-Language", "en-GB,en;q=0.9")
	if r.form != nil {
		out.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	fetchMetadata(out.Header, r, chain)
	originAndReferer(out.Header, r, chain)
	cookies := b.Jar.Cookies(r.url, !crossSite(r.initiator, r.url), r.method, !r.script)
	var pairs, names []string
	for _, c := range cookies {
		pairs, names = append(pairs, c.Name+"="+c.Value), append(names, c.Name)
	}
	if len(pairs) > 0 {
		out.Header.Set("Cookie", strings.Join(pairs, "; "))
	}
	for name, values := range b.Header {
		out.Header[name] = values
	}
	return out, names
}

// Trail is one line per hop, for failure messages. Queries are shown: these are test secrets.
func (p *Page) Trail() string {
	var s strings.Builder
	for _, h := range p.Hops {
		s.WriteString(h.Method + " " + h.URL.String() + " -> " + http.StatusText(h.Status) + " " + h.Location + "\n")
	}
	return s.String()
}
