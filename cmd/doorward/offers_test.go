package main

import (
	"net/http"
	"strings"
	"testing"
)

func TestTheSignInPageOffersWhatTheRouteOfTheTargetTakes(t *testing.T) {
	s := newStack(t, "")
	s.toml = strings.Replace(s.toml, "[[route]]\n", "[login.staff]\nflow = \"authorization_code\"\n[login.tv]\nflow = \"device\"\n[login.phone]\nflow = \"ciba\"\n[[route]]\nlogin = [\"staff\", \"phone\"]\n", 1)
	s.toml += "[[route]]\nname = \"tv\"\nhost = \"" + s.origin + "\"\npath = \"/tv\"\nupstream = [\"" + s.app.URL + "\"]\nlogin = [\"tv\"]\n"
	s.start()
	b := s.browser()
	for path, want := range map[string]string{
		"/oauth2/sign_in?rd=/tv/x": "tv", "/oauth2/sign_in?rd=/x": "staff phone", "/oauth2/sign_in": "staff phone",
		"/oauth2/sign_in?rd=" + s.origin + "/tv": "tv", "/oauth2/sign_in?rd=/x&login=tv&login=staff": "tv staff",
	} {
		page := b.Open(t, s.origin+path)
		var offered []string
		for _, part := range strings.Split(page.Body, "login=")[1:] {
			offered = append(offered, part[:strings.IndexAny(part, `&"`)])
		}
		if got := strings.Join(offered, " "); page.Status != http.StatusOK || got != want {
			t.Errorf("%s: %d offers %q, want %q", path, page.Status, got, want)
		}
	}
	page := b.Open(t, s.origin+"/tv") // the only way in: no other is offered
	if page = page.Submit(t, nil); page.Status != http.StatusOK || !strings.Contains(page.Body, "/oauth2/device/poll") || strings.Contains(page.Body, "/oauth2/sign_in") {
		t.Errorf("%s\n%s", page.Trail(), page.Body)
	}
}
