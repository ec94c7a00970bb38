package idp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/demo/idp/idptest"
)

const (
	notifyURI         = "https://app.test/notify"
	notificationToken = "notification-token-of-160-bits-0123456789"
)

// everyFlow registers clients for all flows: doorward as idptest.Every has it, and public ones that are pinged and pushed to.
func everyFlow(c *idp.Config) {
	every := idptest.Every(callback, callback+"?keep=1").Clients[0]
	c.Clients[0].Grants, c.Clients[0].ResponseTypes = every.Grants, every.ResponseTypes
	for _, mode := range []string{"ping", "push"} {
		c.Clients = append(c.Clients, idp.Client{
			ID: mode, Name: "The " + mode + " app", Grants: every.Grants, CIBADelivery: mode, NotificationEndpoint: notifyURI,
		})
	}
}

// ok posts and wants 200.
func (w *world) ok(endpoint string, form url.Values, edit ...func(*http.Request)) reply {
	w.t.Helper()
	r := w.post(endpoint, form, edit...)
	if r.status != 200 {
		w.t.Fatalf("%s: %d %s", endpoint, r.status, r.body)
	}
	return r
}

func form(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	return v
}

func TestAnswersAreKeptIfThatIsWanted(t *testing.T) {
	w := newWorld(t, everyFlow, func(c *idp.Config) { c.KeepAnswers = true })
	d := w.startDevice()
	if got := w.Last(idp.Device).Answer; got["user_code"] != d.text("user_code") {
		t.Errorf("kept %v", got)
	}
	w.login()
	if got := w.Last(idp.Login).Answer; got["state"] != "S" || got["code"] == nil {
		t.Errorf("kept %v", got)
	}
	w = newWorld(t, everyFlow)
	w.startDevice()
	if got := w.Last(idp.Device).Answer; got != nil {
		t.Errorf("kept although nobody wants it: %v", got)
	}
}

func TestDiscoveryAnnouncesWhatSomeClientMayUse(t *testing.T) {
	w := newWorld(t)
	r := w.get(w.URL(idp.Discovery), "")
	if types := r.json["response_types_supported"].([]any); len(types) != 1 || types[0] != "code" {
		t.Errorf("response types %v although no client may use more than code", types)
	}
	if strings.Contains(r.body, `"implicit"`) || r.json["backchannel_user_code_parameter_supported"] != false {
		t.Errorf("%s", r.body)
	}
	w = newWorld(t, everyFlow, func(c *idp.Config) { c.Users[0].CIBAUserCode = "1234" })
	r = w.get(w.URL(idp.Discovery), "")
	for _, want := range []string{
		`"code id_token token"`, `"id_token"`, `"implicit"`, `"password"`, idp.GrantDevice, idp.GrantCIBA, `["poll","ping","push"]`,
		`"device_authorization_endpoint":"` + w.URL(idp.Device), `"backchannel_authentication_endpoint":"` + w.URL(idp.CIBA),
		`"backchannel_user_code_parameter_supported":true`, `"backchannel_authentication_request_signing_alg_values_supported"`,
	} {
		if !strings.Contains(r.body, want) {
			t.Errorf("%s is missing in %s", want, r.body)
		}
	}
	t.Run("DIS-3 random paths", func(t *testing.T) {
		w := newWorld(t, everyFlow, func(c *idp.Config) { c.Paths = idp.RandomPaths() })
		r := w.get(w.URL(idp.Discovery), "")
		if at := r.text("device_authorization_endpoint"); at != w.URL(idp.Device) || strings.Contains(at, "protocol") {
			t.Errorf("device endpoint %q", at)
		}
		w.ok(idp.Device, url.Values{})
		w.ok(idp.CIBA, form("scope", "openid", "login_hint", "alice"))
	})
}
