package flows

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/telemetry"
)

// device is the device authorization grant (RFC 8628) for a browser that is to be signed in: its person
// approves on another device. What waits is waiting.go, what browsers see of it waiting_page.go.
type device struct {
	params url.Values
	scopes []string // nil = the provider's
}

func newDevice(_ *provider.Client, l Login) (*device, error) {
	params, err := ownParams(l, provider.ReservedDevice)
	if err != nil {
		return nil, err
	}
	return &device{params, l.Scopes}, nil
}

// ownParams checks what the configuration adds to the first request of a flow that has an endpoint of its own.
func ownParams(l Login, reserved func(string) bool) (url.Values, error) {
	for name, values := range l.Params {
		if reserved(name) {
			return nil, fmt.Errorf("params: %s is set by Doorward itself", name)
		}
		if len(values) != 1 {
			return nil, fmt.Errorf("params: %s: exactly one value is needed", name) // RFC 6749 §3.1
		}
	}
	if l.Scopes != nil && !slices.Contains(l.Scopes, "openid") {
		return nil, fmt.Errorf("scopes: openid is missing: without it nobody learns who signs in")
	}
	return url.Values(maps.Clone(l.Params)), nil
}

func (f *Flows) deviceEndpoints() []endpoint {
	if !f.hasWaiting(kindDevice) {
		return nil
	}
	return []endpoint{
		{f.prefix + "/device", []string{http.MethodGet, http.MethodPost}, f.devicePage, f.deps.Origins},
		{f.prefix + "/device/poll", []string{http.MethodGet}, f.poll(kindDevice), f.deps.Origins},
	}
}

// devicePage is GET …/device?login=&rd= (the page that begins), GET …/device?attempt= (the page that waits) and
// POST …/device with login and rd, which begins.
func (f *Flows) devicePage(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	if r.Method == http.MethodPost {
		return f.postDevice(w, r, here)
	}
	q, _, err := f.readAddress(r, here, kindDevice)
	if err != nil {
		return err
	}
	return f.pageOf(w, r, here, q, f.beginDevicePage)
}

func (f *Flows) beginDevicePage(w http.ResponseWriter, r *http.Request, here origin.Origin, q *begins, notice string) error {
	f.deps.Pages.BeginLogin(w, r, pages.BeginLogin{
		Host: here.Authority(), Label: q.login.label, Provider: q.login.providerHost(), Form: f.beginForm(q),
		Auto: notice == "" && ownRequest(r, here), Notice: notice,
	})
	return nil
}

// postDevice begins a login. The browser is sent to a page of its own by GET, so that a reload begins nothing.
func (f *Flows) postDevice(w http.ResponseWriter, r *http.Request, here origin.Origin) error {
	q, err := f.readPost(w, r, here, kindDevice)
	if err != nil {
		return err
	}
	f.leave(w, r, here, q)
	a, err := f.newAttempt(r, here, q.login, beginning{back: q.back})
	if err != nil {
		return err
	}
	client := telemetry.From(w).Client
	if err := f.mayStart(r.Context(), client); err != nil {
		return err
	}
	made, err := f.beginDevice(r.Context(), q.login, deviceAsk{id: a.id, holder: a.holder(), verifier: a.verifier(), client: client})
	if err != nil {
		return f.beginError(w, r, here, q, err)
	}
	return f.begun(w, r, a, q, made)
}

// holder is what proves to a waiting that this is the browser that began it (DEV-8, P155, P166).
func (a *attempt) holder() string { return a.derive("doorward waiting") }

// showDevice is the page that waits.
func (f *Flows) showDevice(w http.ResponseWriter, r *http.Request, a *attempt, q *begins, wait *waiting) {
	f.deps.Pages.DeviceCode(w, r, pages.DeviceCode{
		Host: a.here.Authority(), Label: q.login.label, Provider: q.login.providerHost(),
		UserCode: wait.UserCode, VerificationURI: wait.URI, CompleteURI: wait.CompleteURI, Begun: wait.begun(),
		Waiting: f.waitingPart(a, q, wait),
	})
}
