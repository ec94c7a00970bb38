package flows

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorward/doorward/demo/idp"
)

func TestAPollOfABrowserLastsTenSecondsAtAProviderThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withDevice())
		b := w.net.Browser()
		now := startLogin(t, b, byCode())
		w.idp.Misbehave(idp.Sin{Hang: true})
		time.Sleep(5 * time.Second)
		began := time.Now()
		now = readAnswer(t, pollOnce(t, b, now.Poll))
		if lasted := time.Since(began); lasted != 10*time.Second || now.Status != waitPending || !now.Trouble {
			t.Errorf("after %v: %+v", lasted, now)
		}
	})
	t.Run("and who died while asking keeps others waiting for fifteen", func(t *testing.T) {
		p := newPace(time.Now(), 5*time.Second)
		device, ciba := &waiting{waitRecord: waitRecord{Kind: kindDevice}}, &waiting{waitRecord: waitRecord{Kind: kindCIBA}}
		if d := p.asking(time.Now(), device.callTime()).early(time.Now()).Round(time.Second); d != 15*time.Second {
			t.Errorf("device: %v", d)
		}
		if d := p.asking(time.Now(), ciba.callTime()).early(time.Now()).Round(time.Second); d != 45*time.Second {
			t.Errorf("ciba: %v", d)
		}
	})
}

func TestTokensWhoseAnswerWasLostAreCalledLost(t *testing.T) {
	device := map[string]string{"grant_type": idp.GrantDevice}
	refused := idp.Sin{Error: "invalid_grant", When: device}
	for name, c := range map[string]struct {
		sins   []idp.Sin // one for each poll
		dies   bool      // a replica, before
		code   string
		words  string
		agreed bool
	}{
		"the connection broke":                {[]idp.Sin{{Lose: true, When: device}}, false, codeLoginExpired, "was lost", true},
		"it came too late":                    {[]idp.Sin{{Hang: true, When: device}, refused}, false, codeLoginExpired, "was lost", false},
		"a gateway in between gave up":        {[]idp.Sin{{Status: 504, Body: "{}", When: device}, refused}, false, codeLoginExpired, "was lost", false},
		"lost, then told to come later":       {[]idp.Sin{{Hang: true, When: device}, {Status: 429, Body: "{}", When: device}, refused}, false, codeLoginExpired, "was lost", false},
		"a replica died":                      {[]idp.Sin{refused}, true, codeLoginExpired, "was lost", false},
		"told to come later, nothing is lost": {[]idp.Sin{{Status: 429, Body: "{}", When: device}, refused}, false, codeProviderBad, "does not know", false},
		"answered since, nothing is lost":     {[]idp.Sin{{Hang: true, When: device}, {Error: "authorization_pending", When: device}, refused}, false, codeProviderBad, "does not know", false},
		"answered slow_down since":            {[]idp.Sin{{Hang: true, When: device}, {Error: "slow_down", When: device}, refused}, false, codeProviderBad, "does not know", false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, withDevice())
				b := w.net.Browser()
				now := startLogin(t, b, byCode())
				id := strings.TrimPrefix(attempts(b, app)[0], "__Host-doorward-login.")
				if c.agreed {
					if err := w.idp.ApproveDevice(now.UserCode, "alice"); err != nil {
						t.Fatal(err)
					}
				}
				if c.dies {
					wait := must(w.flows.loadWaiting(t.Context(), must(f64(id))(t)))(t)
					wait.Pace = wait.Pace.asking(time.Now(), wait.callTime())
					if done, err := w.flows.swap(t.Context(), wait); !done || err != nil {
						t.Fatal(done, err)
					}
				}
				for _, sin := range c.sins {
					w.idp.Misbehave(sin)
				}
				if now = pollOut(t, b, now); now.Status != waitFailed || now.Code != c.code {
					t.Errorf("%+v", now)
				}
				page := b.Open(t, app+"/oauth2/device?attempt="+id)
				expect(t, page, http.StatusOK, c.words)
				expect(t, page.Submit(t, nil), http.StatusOK, "app.test") // a button begins again
				if w.idp.Count(idp.Device) != 2 {
					t.Errorf("%d requests for codes", w.idp.Count(idp.Device))
				}
			})
		})
	}
}
