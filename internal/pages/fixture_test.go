package pages

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/telemetry"
)

var update = flag.Bool("update", false, "write the golden files anew")

const host = "app.example.com"

func newPages(t testing.TB) *Pages {
	t.Helper()
	p, err := New(Config{Prefix: "/oauth2"})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

type handler func(w http.ResponseWriter, r *http.Request)

// answer is what came over the wire, and the access line about it.
type answer struct {
	*http.Response
	body, log string
}

// asks are the headers that make a request one of each kind.
var (
	navigation = []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html"}
	program    = []string{"Accept", "application/json"}
)

// ask sends one request through the access log to h, on a real connection.
func ask(t testing.TB, h handler, method string, headers ...string) answer {
	t.Helper()
	var lines bytes.Buffer
	access := telemetry.NewAccessLog(slog.New(slog.NewJSONHandler(&lines, nil)))
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		telemetry.From(w).Host = host
		h(w, r)
	})
	outer := access.Handler(inner, func(http.ResponseWriter, *http.Request) { t.Error("a handler panicked") })
	done := make(chan struct{})
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(done)
		outer.ServeHTTP(w, r)
	}))
	s.Config.ErrorLog = log.New(complaints{t}, "", 0)
	s.Start()
	defer s.Close()
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+"/x", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	res, err := s.Client().Transport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	<-done // and so the access line is written
	access.Close()
	return answer{res, string(body), lines.String()}
}

// complaints fails the test when net/http has something to say: of a second answer, or a bad header.
type complaints struct{ t testing.TB }

func (c complaints) Write(p []byte) (int, error) {
	c.t.Errorf("net/http says: %s", p)
	return len(p), nil
}

// failing answers with err.
func failing(p *Pages, err error) handler {
	return func(w http.ResponseWriter, r *http.Request) { p.Error(w, r, err) }
}

// shown is one answer of ours under a name.
type shown struct {
	name   string
	method string
	header []string
	answer handler
}

func post(name string, h handler) shown {
	return shown{name, http.MethodPost, append([]string{"Content-Type", "application/x-www-form-urlencoded"}, navigation...), h}
}

const startURL = "https://" + host + "/oauth2/start?rd=%2Fx"

var errCause = errors.New("dial tcp 10.0.0.7:3000: connection refused")

// all is every page, and the problem documents that differ.
func all(p *Pages) []shown {
	denied := &Error{
		Code: "access_denied", Detail: "You are signed in, but you may not open this page.",
		Facts: []Fact{{"Signed in as", "alice@example.com (corp)"}, {"Rule", `groups = ["board"] or domains = ["partner.example"]`}},
		Actions: []Action{
			{Label: "Use another account", URL: startURL + "&prompt=select_account"},
			{Label: "Sign out", URL: "/oauth2/sign_out", Post: true},
		},
	}
	required := &Error{Code: "login_required", Challenge: []string{`Bearer realm="app.example.com"`}, LoginURL: startURL}
	loop := &Error{Code: "login_loop", LoginURL: startURL, Facts: []Fact{
		{"Request host", host}, {"Session cookie", "__Host-doorward; Path=/; HttpOnly; Secure; SameSite=Lax"}, {"Cookie came back", "no"},
	}}
	down := &Error{Code: "provider_unavailable", RetryAfter: 5e9, Err: errCause}
	options := []SignInOption{{Label: "Staff", URL: "/oauth2/start?login=staff&rd=%2Fx"}, {Label: "Partners and suppliers", URL: "/oauth2/start?login=partners&rd=%2Fx"}}
	choice := []SignInOption{
		{Label: "Staff", URL: "/oauth2/start?login=staff&rd=%2Fx", About: "with your password at sso.example.com"},
		{Label: "TV", URL: "/oauth2/device?login=tv&rd=%2Fx", About: "with a code that you enter on your phone", Last: true},
		{Label: "Phone", URL: "/oauth2/ciba?login=phone&rd=%2Fx"},
	}
	return append([]shown{
		{"access_denied", "GET", navigation, failing(p, denied)},
		post("login_required form", failing(p, required)),
		{"login_loop", "GET", navigation, failing(p, loop)},
		{"provider_unavailable", "GET", navigation, failing(p, down)},
		{"internal_error", "GET", navigation, failing(p, errCause)},
		{"sign_in", "GET", navigation, func(w http.ResponseWriter, r *http.Request) { p.SignIn(w, r, SignIn{host, options}) }},
		{"sign_in with the last one first", "GET", navigation, func(w http.ResponseWriter, r *http.Request) { p.SignIn(w, r, SignIn{host, choice}) }},
		{"signed_out", "GET", navigation, func(w http.ResponseWriter, r *http.Request) { p.SignedOut(w, r, "/oauth2/start?rd=%2F") }},
		{"confirm_sign_out", "GET", navigation, func(w http.ResponseWriter, r *http.Request) { p.ConfirmSignOut(w, r, "/oauth2/sign_out", "/bye?x=1") }},
		{"keep_fragment", "GET", navigation, func(w http.ResponseWriter, r *http.Request) {
			p.KeepFragment(w, r, "/oauth2/start?login=staff&rd=%2Fx")
		}},
		{"kept_form", "GET", navigation, func(w http.ResponseWriter, r *http.Request) {
			p.KeptForm(w, r, KeptForm{host, "POST /letters", Form{"/letters?draft=7&x", []Field{{"doorward_kept", "AAAAAAAAAAAAAAAAAAAAAA"}}}})
		}},
		{"signed_in", "GET", navigation, p.SignedIn},
		{"access_denied program", "GET", program, failing(p, denied)},
		{"login_required program", "GET", program, failing(p, required)},
		{"provider_unavailable program", "POST", program, failing(p, down)},
		{"internal_error program", "GET", program, failing(p, errCause)},
		{"approval_required program", "POST", program, failing(p, approvalRequired())},
	}, slices.Concat(loginPages(p), tokenPages(p))...)
}

// approvalRequired is the answer of CONTRACT §5 to a program whose request must be approved.
func approvalRequired() *Error {
	return &Error{
		Code: "approval_required", RetryAfter: 5e9, Challenge: []string{`Approval id="A1"`},
		Members: map[string]any{"approval": struct {
			ID             string `json:"id"`
			Status         string `json:"status"`
			BindingMessage string `json:"binding_message"`
			ExpiresIn      int    `json:"expires_in"`
			Interval       int    `json:"interval"`
			Poll           string `json:"poll"`
		}{"A1", "pending", "PAY-20", 120, 5, "https://" + host + "/oauth2/approval/A1"}},
	}
}

// htmlPages are those of all that a person sees.
func htmlPages(p *Pages) []shown {
	return slices.DeleteFunc(all(p), func(s shown) bool { return strings.HasSuffix(s.name, " program") })
}

var sheet = regexp.MustCompile(`(?s)<style>.*</style>`)

// dump is an answer as text that stays the same from run to run. The style sheet is left out, so that a
// change of colour is not a change of every file.
func dump(p *Pages, a answer) string {
	var b strings.Builder
	b.WriteString(a.Status + "\n")
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range a.Header {
			if name != "Date" && name != "Content-Length" && !yield(name) {
				return
			}
		}
	}) {
		b.WriteString(name + ": " + strings.Join(a.Header[name], ", ") + "\n")
	}
	b.WriteString("\n" + sheet.ReplaceAllString(a.body, "<style>…</style>"))
	text := strings.ReplaceAll(b.String(), p.files["mark.svg"].hash, "HASH")
	if ref := a.Header.Get("Doorward-Reference"); ref != "" {
		text = strings.ReplaceAll(text, ref, "7F3KQ2")
	}
	return regexp.MustCompile(`style-src 'sha256-[^']*'`).ReplaceAllString(text, "style-src 'sha256-…'")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", strings.ReplaceAll(name, " ", "_")+".txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s has changed (go test -update, if it should have):\n%s", path, got)
	}
}
