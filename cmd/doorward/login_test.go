package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/internal/testnet"
)

const handedOut = "dw1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

// scripted is a gateway that answers polls from a script: a status code, or the status of a waiting sign-in.
type scripted struct {
	t      *testing.T
	script []string
	polls  []time.Duration // since the code was given
	begun  time.Time
	login  string
	rd     string

	approving func() // when a poll is answered so
	ended     int    // how often the session was signed out of
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	answer := func(status int, format string, args ...any) {
		w.WriteHeader(status)
		fmt.Fprintf(w, format, args...)
	}
	if r.Header.Get("Accept") != "application/json" {
		s.t.Errorf("%s asks for %q", r.URL, r.Header.Get("Accept"))
	}
	switch r.Method + " " + r.URL.Path {
	case "POST /oauth2/device":
		s.begun, s.login, s.rd = time.Now(), r.FormValue("login"), r.FormValue("rd")
		http.SetCookie(w, &http.Cookie{Name: "doorward-login.x", Value: "secret", Path: "/"})
		answer(http.StatusCreated, `{"status":"pending","login":"tv","user_code":"WDJB-MJHT","verification_uri":"https://idp.test/device","expires_in":60,"interval":5,"poll":"/oauth2/device/poll"}`)
	case "GET /oauth2/device/poll":
		if _, err := r.Cookie("doorward-login.x"); err != nil {
			s.t.Error("the poll came without the cookie of its sign-in")
		}
		s.polls = append(s.polls, time.Since(s.begun))
		next := "pending"
		if len(s.script) > 0 {
			next, s.script = s.script[0], s.script[1:]
		}
		switch next {
		case "429":
			w.Header().Set("Retry-After", "3")
			answer(http.StatusTooManyRequests, `{"code":"too_many_requests","status":429}`)
		case "503":
			answer(http.StatusServiceUnavailable, `{"code":"provider_unavailable","status":503}`)
		case "slow":
			answer(http.StatusOK, `{"status":"pending","interval":10}`)
		case "approved":
			if s.approving != nil {
				s.approving()
			}
			http.SetCookie(w, &http.Cookie{Name: "doorward", Value: handedOut, Path: "/"})
			answer(http.StatusOK, `{"status":"approved","location":"/"}`)
		case "in cookies":
			http.SetCookie(w, &http.Cookie{Name: "doorward", Value: "1.sealed", Path: "/"})
			answer(http.StatusOK, `{"status":"approved","location":"/"}`)
		default:
			answer(http.StatusOK, `{"status":%q,"code":"provider_error"}`, next)
		}
	case "GET /oauth2/session":
		if c, err := r.Cookie("doorward"); err != nil || c.Value != handedOut {
			s.t.Errorf("the session is asked for with %v", c)
		}
		answer(http.StatusOK, `{"session":{"ends_at":%q}}`, s.begun.Add(24*time.Hour).Format(time.RFC3339))
	case "POST /oauth2/sign_out":
		if c, err := r.Cookie("doorward"); err != nil || c.Value == "" {
			s.t.Error("somebody signs out without a session")
		}
		s.ended++
		answer(http.StatusOK, `{}`)
	default:
		answer(http.StatusNotFound, `{"code":"no_route","status":404,"detail":"There is nothing at this address.","reference":"ABC123"}`)
	}
}

// signIn runs "doorward login" against a script, in a bubble.
func signIn(t *testing.T, prefix string, script ...string) (s *scripted, dir, said string, err error) {
	net := testnet.NewFor(t)
	s = &scripted{t: t, script: script}
	net.Serve(t, "localhost:4180", s)
	var out bytes.Buffer
	dir = t.TempDir()
	err = loginAt(t.Context(), "http://localhost:4180/git/repo?x=1", dir, loginOptions{clientOptions: clientOptions{prefix: prefix, dial: net.Dial}, login: "tv", out: &out})
	return s, dir, out.String(), err
}

func TestLoginFromATerminalWaitsAtTheAnsweredIntervalAndKeepsTheTicket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, dir, said, err := signIn(t, "/oauth2", "pending", "slow", "429", "503", "approved")
		if err != nil {
			t.Fatal(err)
		}
		if s.login != "tv" || s.rd != "/git/repo?x=1" {
			t.Errorf("login %q, rd %q", s.login, s.rd)
		}
		want := []time.Duration{5, 10, 20, 23, 43} // 5 s each, then 10, then Retry-After's 3, then 20 after an outage
		for i := range want {
			if i >= len(s.polls) || s.polls[i].Round(time.Second) != want[i]*time.Second {
				t.Fatalf("polled after %v, want %v seconds", s.polls, want)
			}
		}
		for _, wanted := range []string{"https://idp.test/device", "WDJB-MJHT", "Approve only if you started this yourself", "still trying", "Signed in to http://localhost:4180"} {
			if !strings.Contains(said, wanted) {
				t.Errorf("it doesn't say %q:\n%s", wanted, said)
			}
		}
		if strings.Contains(said, handedOut) {
			t.Error("it shows the ticket")
		}
		kept, err := readTicket(dir, "http://localhost:4180/anything", time.Now())
		if err != nil || kept.value.Reveal() != handedOut {
			t.Fatalf("%v %v", kept, err)
		}
		if info, err := os.Stat(ticketPath(dir, kept.Origin)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the ticket's file: %v %v", info.Mode(), err)
		}
	})
}

func TestLoginFromATerminalSaysHowItEnded(t *testing.T) {
	for end, says := range map[string]string{
		"denied":     "the sign-in was refused",
		"expired":    "nobody approved the code in time",
		"failed":     "the sign-in failed (provider_error)",
		"in cookies": "keeps sessions in cookies",
	} {
		synctest.Test(t, func(t *testing.T) {
			_, dir, _, err := signIn(t, "/oauth2", "pending", end)
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", end, err)
			}
			if files, _ := os.ReadDir(dir); len(files) != 0 {
				t.Errorf("%s: something was kept", end)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		_, _, _, err := signIn(t, "/elsewhere")
		if err == nil || !strings.Contains(err.Error(), "does it have a login of the flow device?") || !strings.Contains(err.Error(), "ABC123") {
			t.Errorf("no such login: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		script := make([]string, 100)
		for i := range script {
			script[i] = "503"
		}
		if _, _, _, err := signIn(t, "/oauth2", script...); err == nil || time.Since(begun) > 3*time.Minute {
			t.Errorf("a gateway that stays away: %v after %s", err, time.Since(begun))
		}
	})
}

// A place that nobody can write to is a file where a directory should be: root can't write there either.
func TestLoginFromATerminalAsksForNoCodeIfItsTicketCouldNotBeKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := testnet.NewFor(t)
		s := &scripted{t: t, script: []string{"approved"}}
		net.Serve(t, "localhost:4180", s)
		home := filepath.Join(t.TempDir(), "home")
		if err := os.WriteFile(home, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(home, ".local", "state", "doorward", "tickets")
		err := loginAt(t.Context(), "http://localhost:4180/", dir, loginOptions{clientOptions: clientOptions{prefix: "/oauth2", dial: net.Dial}, out: io.Discard})
		if err == nil || !strings.Contains(err.Error(), "tickets cannot be kept in "+dir) || !strings.Contains(err.Error(), "set XDG_STATE_HOME") {
			t.Errorf("%v", err)
		}
		if !s.begun.IsZero() {
			t.Error("it had somebody approve a sign-in that leads to nothing")
		}
	})
}

func TestLoginFromATerminalLeavesNoSessionBehindThatItCannotKeep(t *testing.T) {
	for name, c := range map[string]struct {
		end    string
		spoils bool // the place of tickets, while somebody approves
		says   string
	}{
		"the place has gone":          {"approved", true, "has been ended again"},
		"the gateway keeps no ticket": {"in cookies", false, "keeps sessions in cookies"},
	} {
		synctest.Test(t, func(t *testing.T) {
			net := testnet.NewFor(t)
			dir := filepath.Join(t.TempDir(), "tickets")
			s := &scripted{t: t, script: []string{"pending", c.end}}
			if c.spoils {
				s.approving = func() {
					if err := os.Remove(dir); err != nil { // so that nothing is left of the attempt to write
						t.Error(err)
					}
					if err := os.WriteFile(dir, nil, 0o600); err != nil {
						t.Error(err)
					}
				}
			}
			net.Serve(t, "localhost:4180", s)
			err := loginAt(t.Context(), "http://localhost:4180/", dir, loginOptions{clientOptions: clientOptions{prefix: "/oauth2", dial: net.Dial}, out: io.Discard})
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v", name, err)
			}
			if s.ended != 1 {
				t.Errorf("%s: the session was ended %d times", name, s.ended)
			}
		})
	}
}

func TestATicketNeverGoesOverPlainHTTPToAnotherMachine(t *testing.T) {
	for target, good := range map[string]bool{
		"https://app.example.com": true, "app.example.com": true, "http://localhost:1": true, "http://127.0.0.1:1": true, "http://[::1]:1": true,
		"http://app.example.com": false, "http://localhost.evil.example": false, "ftp://app.example.com": false, "https://u:p@app.example.com": false, "https://": false,
	} {
		if _, err := gatewayURL(target); (err == nil) != good {
			t.Errorf("%s: %v", target, err)
		}
	}
}

func TestWhatAServerSaysDoesNotSteerTheTerminal(t *testing.T) {
	var out bytes.Buffer
	at, _ := gatewayURL("https://app.example.com")
	showCode(loginOptions{out: &out}, at, deviceAnswer{UserCode: "A\x1b]0;title\a\u202e", URI: "https://idp.test/\x1b[2J\nhttps://evil.test"})
	if strings.ContainsAny(out.String(), "\x1b\a\u202e") || strings.Contains(out.String(), "\nhttps://evil.test") {
		t.Errorf("%q", out.String())
	}
}

// tickets is a directory with one ticket.
func tickets(t *testing.T, ends time.Time) (dir string, kept *ticket) {
	t.Helper()
	dir = t.TempDir()
	content, _ := json.Marshal(ticketFile{"https://git.test", "__Host-doorward", handedOut, ends.Add(-time.Hour), ends})
	if err := os.WriteFile(ticketPath(dir, "https://git.test"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	kept, err := openTicket(ticketPath(dir, "https://git.test"))
	if err != nil {
		t.Fatal(err)
	}
	return dir, kept
}

func TestATicketIsHandedOutAsItIsWanted(t *testing.T) {
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	dir, _ := tickets(t, now.Add(time.Hour))
	hand := func(print func(tokenRequest) error, arg, in, info string) string {
		var out bytes.Buffer
		r := tokenRequest{dir, arg, func(string) string { return info }, now, strings.NewReader(in), &out}
		if err := print(r); err != nil {
			return "error: " + err.Error()
		}
		return out.String()
	}
	for _, c := range []struct{ name, got, want string }{
		{"token", hand(printToken, "https://git.test/repo", "", ""), handedOut + "\n"},
		{"the only one", hand(printToken, "", "", ""), handedOut + "\n"},
		{"header", hand(printHeader, "git.test", "", ""), "Authorization: Bearer " + handedOut + "\n"},
		{"git get", hand(helpGit, "get", "protocol=https\nhost=git.test\npath=x\n\n", ""), "username=doorward\npassword=" + handedOut + "\n"},
		{"written in another way", hand(printToken, "HTTPS://Git.Test.:443/repo#x", "", ""), handedOut + "\n"},
		{"git get, another port", hand(helpGit, "get", "protocol=https\nhost=git.test:8443\n\n", ""), ""},
		{"git get, another host", hand(helpGit, "get", "protocol=https\nhost=other.test\n\n", ""), ""},
		{"git get, in the clear", hand(helpGit, "get", "protocol=http\nhost=git.test\n\n", ""), "error: git.test: over plain http everybody on the way could read the ticket; https is needed"},
		{"git store", hand(helpGit, "store", "protocol=https\nhost=git.test\nusername=u\npassword=p\n\n", ""), ""},
		{
			"kubectl", hand(printExecCredential, "https://git.test", "", ""),
			`{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"expirationTimestamp":"2026-11-27T13:00:00Z","token":"` + handedOut + `"}}` + "\n",
		},
		{
			"kubectl of another version", hand(printExecCredential, "https://git.test", "", `{"apiVersion":"client.authentication.k8s.io/v1beta1"}`),
			`{"apiVersion":"client.authentication.k8s.io/v1beta1","kind":"ExecCredential","status":{"expirationTimestamp":"2026-11-27T13:00:00Z","token":"` + handedOut + `"}}` + "\n",
		},
		{"none", hand(printToken, "https://other.test", "", ""), "error: no ticket for https://other.test; get one: doorward login https://other.test"},
	} {
		if c.got != c.want {
			t.Errorf("%s: %q\nwant %q", c.name, c.got, c.want)
		}
	}
	if got := hand(helpGit, "erase", "protocol=https\nhost=git.test\npassword=another\n\n", ""); got != "" || hand(printToken, "git.test", "", "") != handedOut+"\n" {
		t.Errorf("a ticket was erased because another was refused: %q", got)
	}
	if got := hand(helpGit, "erase", "protocol=https\nhost=git.test\npassword="+handedOut+"\n\n", ""); got != "" || !strings.Contains(hand(printToken, "git.test", "", ""), "no ticket") {
		t.Errorf("a ticket that git was refused with is still there: %q", got)
	}
}

func TestAnEndedOrUnsafeTicketIsNotHandedOut(t *testing.T) {
	now := time.Now()
	dir, kept := tickets(t, now.Add(-time.Second))
	if _, err := readTicket(dir, kept.Origin, now); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("ended: %v", err)
	}
	dir, kept = tickets(t, now.Add(time.Hour))
	path := ticketPath(dir, kept.Origin)
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := readTicket(dir, kept.Origin, now); err == nil || !strings.Contains(err.Error(), "can be read by others") {
		t.Errorf("readable by others: %v", err)
	}
	if err := os.Rename(path, ticketPath(dir, "https://elsewhere.test")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(ticketPath(dir, "https://elsewhere.test"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readTicket(dir, "https://elsewhere.test", now); err == nil {
		t.Error("a ticket was handed out for a site that it is not of")
	}
}

func TestTheCodeOfATerminalIsSquareAndHasAMargin(t *testing.T) {
	text, err := terminalQR("https://idp.test/device?user_code=WDJB-MJHT")
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var width int
	for i, line := range lines {
		modules := strings.TrimSuffix(strings.TrimPrefix(line, "    \x1b[30;107m"), "\x1b[0m")
		n := len([]rune(modules))
		if width == 0 {
			width = n
		}
		if n != width || !strings.HasPrefix(modules, "  ") || !strings.HasSuffix(modules, "  ") || (i == 0 || i == len(lines)-1) && strings.Trim(modules, " ") != "" {
			t.Errorf("line %d: %q", i, modules)
		}
	}
	if len(lines) != (width+1)/2 || width < 21+2*quiet {
		t.Errorf("%d lines of %d modules", len(lines), width)
	}
}
