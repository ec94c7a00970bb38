package proxy

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// people is the Authenticator: the value of the session cookie says who it is.
type people map[string]*identity.Identity

func (p people) Authenticate(w http.ResponseWriter, r *http.Request) (*identity.Identity, bool, error) {
	var values []string
	for _, c := range r.Cookies() {
		if c.Name == "__Host-doorward" {
			values = append(values, c.Value)
		}
	}
	if len(values) != 1 {
		return nil, false, nil
	}
	switch values[0] {
	case "broken":
		return nil, false, errors.New("the store at 10.9.8.7:6379 does not answer")
	case "panic":
		panic("odd input")
	case "half":
		return nil, true, nil
	case "renewed":
		http.SetCookie(w, &http.Cookie{Name: "__Host-doorward", Value: "renewed", Path: "/", Secure: true})
		return p["alice"], true, nil
	}
	who, ok := p[values[0]]
	return who, ok, nil
}

func someone(subject string, change func(*identity.Identity)) *identity.Identity {
	who := &identity.Identity{
		Issuer: "https://idp.test", Subject: subject, Provider: "corp", Login: "staff",
		Email: subject + "@example.com", EmailVerified: true, Username: subject, Claims: identity.NewClaims([]byte(`{}`)),
		Tokens: &identity.Tokens{AccessToken: secret.New("at-" + subject), IDToken: secret.New("idt-" + subject), RefreshToken: secret.New("rt"), Expiry: time.Now().Add(time.Hour)},
	}
	if change != nil {
		change(who)
	}
	return who
}

func everybody() people {
	gone := time.Now().Add(-time.Minute)
	return people{
		"alice": someone("alice", nil),
		"root":  someone("root", func(w *identity.Identity) { w.Groups = []string{"admin", "staff"} }),
		"evil": someone("evil", func(w *identity.Identity) {
			w.Subject, w.Username, w.Groups = "a\r\nX-Forwarded-User: root", "é漢\x00", []string{"a,admin", "", " admin"}
		}),
		"other-login": someone("alice", func(w *identity.Identity) { w.Login = "kiosk" }),
		"unverified":  someone("mallory", func(w *identity.Identity) { w.EmailVerified = false; w.Email = "root@example.com" }),
		"late": someone("late", func(w *identity.Identity) {
			w.Tokens = &identity.Tokens{AccessToken: secret.New("old"), RefreshToken: secret.New("rt"), Expiry: gone}
		}),
		"gone":      someone("gone", func(w *identity.Identity) { w.Tokens = &identity.Tokens{AccessToken: secret.New("old"), Expiry: gone} }),
		"tokenless": someone("tokenless", func(w *identity.Identity) { w.Tokens = nil }),
		"machine":   someone("alice", func(w *identity.Identity) { w.Machine, w.Client = true, "backup" }),
	}
}

// door is the Starter.
type door struct{}

func (door) Start(w http.ResponseWriter, _ *http.Request, back string) error {
	http.SetCookie(w, &http.Cookie{Name: "__Host-doorward-login.1", Value: "state"})
	w.Header().Set("Location", "https://idp.test/authorize?back="+url.QueryEscape(back))
	w.WriteHeader(http.StatusFound)
	return nil
}

func (door) LoginURL(r *http.Request, back string) string {
	return "https://" + strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(r.Host, ":443"), ".")) + "/oauth2/start?rd=" + url.QueryEscape(back)
}

// ownPages echoes the headers that own endpoints see.
func ownPages() http.Handler {
	mux := http.NewServeMux()
	echo := func(w http.ResponseWriter, r *http.Request) { _ = r.Header.Write(w) }
	mux.HandleFunc("/oauth2/callback", echo)
	mux.HandleFunc("/oauth2/sign_out", echo)
	mux.HandleFunc("/old/callback", echo)
	return mux
}

func tokens(access string) *identity.Tokens {
	return &identity.Tokens{AccessToken: secret.New(access)}
}
