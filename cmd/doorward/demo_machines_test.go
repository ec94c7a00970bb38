package main

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/doorward/doorward/demo"
	"github.com/doorward/doorward/internal/testnet"
)

// presses submits the form of a page by one of its buttons.
func (d *demoRun) presses(page *testnet.Page, button string, words ...string) *testnet.Page {
	d.t.Helper()
	page = page.Press(d.t, button)
	wants(d.t, page, 200, words...)
	return page
}

// playMachines presses every button of the two examples.
func (d *demoRun) playMachines() {
	d.t.Helper()
	page := d.browser().Open(d.t, d.origin+"/nightlybackup/")
	for _, button := range []string{"Back up now", "Send it past Doorward, without a token", "Send it with a token for another API"} {
		page = d.presses(page, button, "DataStorageAPI")
	}
	page = d.browser().Open(d.t, d.origin+"/microservice-a/").SignIn(d.t, "alice", demoPassword)
	for _, button := range []string{"Ask B for me", "Send my own token to B", "Ask B without a token"} {
		page = d.presses(page, button, "MicroserviceB")
	}
}

func TestTheDemoPlaysNightlyBackupService(t *testing.T) {
	d := startDemoWith(t, demoOptions{users: shownPeople()})
	page := d.browser().Open(t, d.origin).Click(t, "Open NightlyBackupService")
	wants(t, page, 200, "with no token and no secret")
	page = d.presses(page, "Back up now",
		"DataStorageAPI accepts it", "201 Created", "aud data-storage-api", "sub nightlybackup", "client_id nightlybackup", "scope data.write")
	expect(t, d.messages(demo.Backup),
		"NightlyBackupService to Doorward: POST /data/backups 201",
		"Doorward to Identity provider: POST "+tokenPath+" 200",
		"Doorward to DataStorageAPI: POST /backups 201",
		"DataStorageAPI to Identity provider: GET /protocol/openid-connect/certs 200",
	)
	page = d.presses(page, "Back up now", "DataStorageAPI accepts it")
	got := d.messages(demo.Backup)
	if n := count(got, "POST "+tokenPath); n != 1 {
		t.Errorf("the second backup asked the provider again:\n%s", strings.Join(got, "\n"))
	}
	if !slices.ContainsFunc(got, func(m string) bool {
		return strings.HasPrefix(m, "NightlyBackupService to Doorward: POST /data/backups 201 2 times")
	}) {
		t.Errorf("%q", got)
	}
	page = d.presses(page, "Send it past Doorward, without a token", "DataStorageAPI refuses it", "401 Unauthorized", "there is no access token")
	d.presses(page, "Send it with a token for another API", "DataStorageAPI refuses it", "401 Unauthorized", "aud wanted data-storage-api , got billing-api")
	got = d.messages(demo.Backup)
	for _, pattern := range []string{
		"^NightlyBackupService to DataStorageAPI: POST /backups 401$", "^NightlyBackupService to Doorward: POST /data-by-mistake/backups 401$",
		"^Doorward to DataStorageAPI: POST /backups 401",
	} {
		if !slices.ContainsFunc(got, regexp.MustCompile(pattern).MatchString) {
			t.Errorf("nothing matches %s in\n%s", pattern, strings.Join(got, "\n"))
		}
	}
	if body := d.sequence(demo.Backup); !strings.Contains(body, "grant_type <code>client_credentials</code>") || !strings.Contains(body, "verdict <code>accepted</code>") || !strings.Contains(body, "verdict <code>refused</code>") {
		t.Error("the sequence doesn't show what was asked for, and what the storage said")
	}
}

func TestTheLineForTheBackupWorksAndIsRecorded(t *testing.T) {
	d := startDemoWith(t, demoOptions{users: shownPeople()})
	at := d.find(`curl -d everything (http://127\.0\.0\.1:\d+/data/backups)`)
	res, err := http.Post(at, "application/x-www-form-urlencoded", strings.NewReader("everything"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, _ := io.ReadAll(res.Body); res.StatusCode != 201 || !strings.Contains(string(body), `"verdict": "accepted"`) {
		t.Fatalf("%s %s", res.Status, body)
	}
	if got := d.messages(demo.Backup); count(got, "NightlyBackupService to Doorward: POST /data/backups 201") != 1 {
		t.Errorf("%q", got)
	}
}

func TestTheDemoPlaysMicroserviceA(t *testing.T) {
	d := startDemoWith(t, demoOptions{users: shownPeople()})
	page := d.browser().Open(t, d.origin).Click(t, "Open MicroserviceA").SignIn(t, "alice", demoPassword)
	wants(t, page, 200, "What MicroserviceA does for alice", `"aud": "microservice-a"`)
	before := len(d.messages(demo.Exchange))
	page = d.presses(page, "Ask B for me",
		"MicroserviceB accepts it", "200 OK", "aud microservice-b", "sub alice", `act {"sub":"microservice-a"}`, "client_id microservice-a")
	expect(t, withoutKeys(d.messages(demo.Exchange)[before:]),
		"Your browser to Doorward: POST /microservice-a/ 200",
		"Doorward to MicroserviceA: POST /microservice-a/ 200",
		"MicroserviceA to Doorward: GET /microservice-b/orders 200",
		"Doorward to Identity provider: POST "+tokenPath+" 200", // of its own
		"Doorward to Identity provider: POST "+tokenPath+" 200", // for B
		"Doorward to MicroserviceB: GET /orders 200",
	)
	body := d.sequence(demo.Exchange)
	for _, shown := range []string{"grant_type <code>client_credentials</code>", "grant_type <code>token-exchange</code>", "audience <code>microservice-b</code>", "act.sub <code>microservice-a</code>", "verdict <code>accepted</code>"} {
		if !strings.Contains(body, shown) {
			t.Errorf("the sequence doesn't show %s", shown)
		}
	}
	page = d.presses(page, "Send my own token to B", "MicroserviceB refuses it", "401 Unauthorized", "aud wanted microservice-b , got microservice-a")
	d.presses(page, "Ask B without a token", "MicroserviceB refuses it", "there is no access token")
	if got := d.messages(demo.Exchange); count(got, "MicroserviceA to MicroserviceB: GET /orders 401") != 2 {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
}

func TestTheTokensOfTwoPeopleAreNotMixedUpOnTheWayToMicroserviceB(t *testing.T) {
	d := startDemoWith(t, demoOptions{users: shownPeople()})
	pages := map[string]*testnet.Page{}
	for name, password := range map[string]string{"alice": demoPassword, "bob": demoPassword + "b"} {
		pages[name] = d.browser().Open(t, d.origin+"/microservice-a/").SignIn(t, name, password)
	}
	for range 2 {
		for name, page := range pages {
			pages[name] = d.presses(page, "Ask B for me", "MicroserviceB accepts it", "sub "+name)
		}
	}
}

func count(messages []string, words string) (n int) {
	for _, m := range messages {
		if strings.Contains(m, words) {
			n++
		}
	}
	return n
}

// withoutKeys leaves out who reads the provider's keys when: that depends on who has come before.
func withoutKeys(messages []string) []string {
	return slices.DeleteFunc(messages, func(m string) bool { return strings.Contains(m, "/certs ") })
}
