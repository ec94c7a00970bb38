package demo_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/demo"
	"github.com/doorward/doorward/demo/sequence"
)

// recorded is a landing page whose log has recorded some requests, a second apart.
type recorded struct {
	t      *testing.T
	config demo.Config
	now    time.Time
}

func record(t *testing.T) *recorded {
	r := &recorded{t: t, config: settings(), now: time.Unix(1_800_000_000, 0)}
	r.config.Now = func() time.Time { return r.now }
	r.config.Log = demo.NewLog(r.config)
	return r
}

// message sends a request through the recording handler of a place.
func (r *recorded) message(p sequence.Place, method, target, form string, status int, location string, headers ...string) {
	r.t.Helper()
	r.now = r.now.Add(time.Second)
	q := httptest.NewRequest(method, target, strings.NewReader(form))
	q.Header.Set("User-Agent", "Mozilla/5.0")
	if form != "" {
		q.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		q.Header.Set(headers[i], headers[i+1])
	}
	r.config.Log.Record(p, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.Copy(io.Discard, q.Body)
		if location != "" {
			w.Header().Set("Location", location)
		}
		w.WriteHeader(status)
	})).ServeHTTP(httptest.NewRecorder(), q)
}

func (r *recorded) page(target string) answer {
	r.t.Helper()
	h, err := demo.Landing(r.config)
	if err != nil {
		r.t.Fatal(err)
	}
	return ask(r.t, h, http.MethodGet, target)
}

func TestTheSequencePageShowsEachMessageWithItsParametersAndTimes(t *testing.T) {
	r := record(t)
	provider, gateway := r.config.AtProvider(), r.config.AtGateway()
	r.message(provider, http.MethodGet, "http://127.0.0.1:9001/.well-known/openid-configuration", "", 200, "", "User-Agent", "Doorward")
	r.message(gateway, http.MethodGet, "http://localhost:4180/smarttv/", "", 302, "http://localhost:4180/oauth2/device?login=tv&rd=%2Fsmarttv%2F")
	r.message(provider, http.MethodPost, "http://127.0.0.1:9001/token", "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=abc", 400, "", "User-Agent", "Doorward")
	a := r.page("/sequence/smarttv")
	checkMarkup(t, a.body)
	read := text(t, a.body)
	for _, words := range []string{
		"Live sequence: SmartTV", "+0.000 s TV → to Doorward GET /smarttv/ 302 to /oauth2/device",
		"+1.000 s Doorward → to Identity provider POST /token grant_type device_code device code", "Request grant_type form urn:ietf:params:oauth:grant-type:device_code",
		"rd location /smarttv/", "Answer, after 0.0 ms", "Before anybody came", "GET /.well-known/openid-configuration",
	} {
		if !strings.Contains(read, words) {
			t.Errorf("the page doesn't say %q:\n%s", words, read)
		}
	}
	if strings.Contains(read, "device_code form device code abc") {
		t.Error("the device code is shown")
	}
}

func TestEachTimeThatAnExampleIsPlayedStandsForItself(t *testing.T) {
	r := record(t)
	gateway := r.config.AtGateway()
	for _, again := range []string{"1", "2"} {
		r.now = r.now.Add(time.Minute)
		r.message(gateway, http.MethodGet, "http://localhost:4180/simplespa/?state="+again, "", 302, "http://127.0.0.1:9001/auth?client_id=simplespa&state="+again)
		r.message(gateway, http.MethodGet, "http://localhost:4180/oauth2/callback/simplespa?state="+again, "", 303, "/simplespa/")
	}
	a := r.page("/sequence/simplespa")
	checkMarkup(t, a.body)
	newest, earlier, ok := strings.Cut(a.body, "An earlier time")
	if !ok || strings.Count(newest, `class="when">&#43;`) != 2 || strings.Count(earlier, `class="when">&#43;`) != 2 || strings.Count(text(t, a.body), "+0.000 s") != 2 {
		t.Errorf("the two are not told apart:\n%s", text(t, a.body))
	}
}

func TestEachMessageIsOfTheExampleThatItNames(t *testing.T) {
	r := record(t)
	provider, gateway := r.config.AtProvider(), r.config.AtGateway()
	r.message(gateway, http.MethodGet, "http://localhost:4180/coolwebapp/last", "", 200, "") // what names none would go there
	for target, example := range map[string]string{
		"http://localhost:4180/oauth2/device?login=tv":                      demo.TV,
		"http://localhost:4180/oauth2/device/poll":                          demo.TV,
		"http://localhost:4180/oauth2/ciba/poll?attempt=x":                  demo.Till,
		"http://localhost:4180/oauth2/approval/A1":                          demo.Till,
		"http://localhost:4180/oauth2/password?login=legacy":                demo.Desktop,
		"http://localhost:4180/oauth2/callback/simplespa":                   demo.SPA,
		"http://localhost:4180/oauth2/start?rd=%2Fpointofsale%2F%3Fa":       demo.Till,
		"http://localhost:4180/oauth2/sign_in?login=spa":                    demo.SPA,
		"http://localhost:4180/pointofsale/payments":                        demo.Till,
		"http://127.0.0.1:9001/device?user_code=WDJB-MJHT":                  demo.TV,
		"http://127.0.0.1:9001/phone":                                       demo.Till,
		"http://127.0.0.1:9001/auth?client_id=legacydesktopapp&x=/smarttv/": demo.Desktop,
	} {
		place := gateway
		if strings.Contains(target, ":9001") {
			place = provider
		}
		before := len(r.config.Log.Messages(example))
		r.message(place, http.MethodGet, target, "", 200, "")
		r.message(gateway, http.MethodGet, "http://localhost:4180/coolwebapp/between", "", 200, "")
		if len(r.config.Log.Messages(example)) != before+1 {
			t.Errorf("%s is not of %s", target, example)
		}
	}
}

func TestPagesAboutTheDemoAndFilesAreNotRecorded(t *testing.T) {
	r := record(t)
	for _, path := range []string{"/", "/sequence/smarttv", "/sequence/smarttv?part=rows", "/favicon.ico", "/oauth2/static/x.svg", "/oauth2/static", "/legacydesktopapp/", "/coolwebappendix"} {
		r.message(r.config.AtGateway(), http.MethodGet, "http://localhost:4180"+path, "", 200, "")
	}
	r.message(r.config.AtProvider(), http.MethodGet, "http://127.0.0.1:9001/phone", "", 200, "", "Accept", "application/json")
	for _, example := range append(r.config.Examples(), "") {
		if all := r.config.Log.Messages(example); len(all) != 0 {
			t.Errorf("recorded of %q: %+v", example, all)
		}
	}
}

func TestP187WhatAMessageHoldsIsTextOnTheSequencePage(t *testing.T) {
	r := record(t)
	r.message(r.config.AtGateway(), http.MethodGet, `http://localhost:4180/smarttv/%3Cimg%20src=x%3E%22'?login=%3Cscript%3Ealert(1)%3C/script%3E&user_code=%22%3E%3Cb%3E&%3Ci%3E=1`, "", 302, `http://x/"><script>alert(2)</script>`, "X-Forwarded-User", `"><script>alert(3)</script>`)
	for _, target := range []string{"/sequence/smarttv", "/sequence/smarttv?part=rows"} {
		if body := r.page(target).body; regexp.MustCompile(`<(script>alert|img|b>|i>)`).MatchString(body) || !strings.Contains(body, "&lt;script&gt;alert(1)") {
			t.Errorf("%s holds markup of a stranger:\n%s", target, body)
		}
	}
}

func TestThereIsNoSequenceOfWhatDoesNotPlay(t *testing.T) {
	r := record(t)
	for _, target := range []string{"/sequence/", "/sequence/x", "/sequence/nightlybackupservice", "/sequence/smarttv/x"} {
		if a := r.page(target); a.status != 404 {
			t.Errorf("%s: %d", target, a.status)
		}
	}
	r.config.Log = nil
	if a := r.page("/sequence/smarttv"); a.status != 404 {
		t.Errorf("without a log: %d", a.status)
	}
	if a := r.page("/"); a.status != 200 || strings.Contains(a.body, "/sequence/") {
		t.Error("without a log the landing page leads to sequences")
	}
}
