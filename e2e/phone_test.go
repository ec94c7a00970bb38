package e2e

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// phone is the authentication device of CIBA to Keycloak: its "authentication channel server".
// Keycloak asks it by POST; what the person does is posted back to Keycloak.
type phone struct {
	*httptest.Server

	mu     sync.Mutex
	pushes []push
}

// push is one question on the phone.
type push struct {
	LoginHint      string `json:"login_hint"`
	BindingMessage string `json:"binding_message"`
	Scope          string `json:"scope"`
	ACRValues      string `json:"acr_values"`
	token          string // with which the answer is accepted
}

func newPhone() *phone {
	p := &phone{}
	p.Server = httptest.NewServer(p)
	return p
}

func (p *phone) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var got push
	if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	got.token = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	p.pushes = append(p.pushes, got)
	p.mu.Unlock()
	w.WriteHeader(http.StatusCreated) // Keycloak takes nothing else
}

// all returns what the phone shows, the oldest first.
func (p *phone) all() []push {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]push(nil), p.pushes...)
}

func (p *phone) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pushes = nil
}

// next waits for the n-th push of this test, counted from 1.
func (p *phone) next(t *testing.T, n int) push {
	t.Helper()
	if !eventually(func() bool { return len(p.all()) >= n }) {
		t.Fatalf("the phone shows only %d questions, not %d", len(p.all()), n)
	}
	return p.all()[n-1]
}

// answer does what the person does: SUCCEED, UNAUTHORIZED (not the person's own) or CANCELLED.
func (k *keycloak) answer(t *testing.T, to push, status string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"status": status})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, k.issuer+"/protocol/openid-connect/ext/ciba/auth/callback", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+to.token)
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("Keycloak answers %d to %s on the phone", res.StatusCode, status)
	}
}
