package main

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
)

var (
	formAction  = regexp.MustCompile(`<form id="login" method="post" action="([^"]*)"`)
	interaction = regexp.MustCompile(`name="interaction" value="([^"]*)"`)
)

// signIn is alice's browser: it opens a page, signs in at the provider, and returns the
// Cookie header that it then has for doorward, and the token that reached the upstream. The gateway of
// that origin is the one that listens at this address.
func signIn(ctx context.Context, origin, at string) (cookie, token string, err error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return "", "", err
	}
	client := &http.Client{Jar: jar, Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if "http://"+address == origin {
			address = at
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}}}
	defer client.CloseIdleConnections()
	page, shown, err := visit(ctx, client, http.MethodGet, origin+"/", nil)
	if err != nil {
		return "", "", err
	}
	action, id := formAction.FindStringSubmatch(page), interaction.FindStringSubmatch(page)
	if action == nil || id == nil {
		return "", "", fmt.Errorf("no login form at %s: %.200q", shown, page)
	}
	target, err := shown.Parse(html.UnescapeString(action[1]))
	if err != nil {
		return "", "", err
	}
	form := url.Values{"interaction": {html.UnescapeString(id[1])}, "username": {"alice"}, "password": {"alice"}}
	if _, _, err := visit(ctx, client, http.MethodPost, target.String(), form); err != nil {
		return "", "", err
	}
	home, err := url.Parse(origin)
	if err != nil {
		return "", "", err
	}
	var pairs []string
	for _, c := range jar.Cookies(home) {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	if len(pairs) == 0 {
		return "", "", errors.New("no session cookie was set")
	}
	cookie = strings.Join(pairs, "; ")
	token, err = arriving(ctx, client, origin)
	return cookie, token, err
}

// tokenPath is where the upstream answers with the token that it received.
const tokenPath = "/token-that-arrived"

func arriving(ctx context.Context, client *http.Client, origin string) (string, error) {
	page, _, err := visit(ctx, client, http.MethodGet, origin+tokenPath, nil)
	return strings.TrimPrefix(page, "Bearer "), err
}

func visit(ctx context.Context, client *http.Client, method, address string, form url.Values) (page string, at *url.URL, err error) {
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", nil, err
	}
	r.Header.Set("Accept", "text/html")
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := client.Do(r)
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %.300q", res.Request.URL.Redacted(), res.Status, body)
	}
	return string(body), res.Request.URL, err
}
