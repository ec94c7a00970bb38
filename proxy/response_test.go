package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func responding(r Response) func(*Config, *Deps) {
	return func(c *Config, _ *Deps) {
		for i := range c.Routes {
			c.Routes[i].Response = r
		}
	}
}

func TestARouteSetsAndRemovesHeadersOfAnswers(t *testing.T) {
	l := newLab(t, responding(Response{
		Set:     map[string]string{"x-frame-options": "DENY", "Server": "ours"},
		Default: map[string]string{"Content-Security-Policy": "default-src 'self'", "X-Said": "no"},
		Remove:  []string{"x-powered-by", "Set-Cookie"},
	}))
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["X-Frame-Options"] = []string{"SAMEORIGIN", "ALLOWALL"}
		h.Set("X-Said", "yes")
		h.Set("Server", "nginx/1.2.3")
		h.Set("X-Powered-By", "PHP/5")
		h.Set("Set-Cookie", "a=b")
		_, _ = io.WriteString(w, "E")
	})
	for _, target := range []string{"/x", "/public/x"} {
		l.both(t, "GET", target, []string{as("renewed")}, func(l *lab, a answer) {
			l.passed(a)
			for name, want := range map[string][]string{
				"X-Frame-Options": {"DENY"}, "Server": {"ours"}, "Content-Security-Policy": {"default-src 'self'"}, "X-Said": {"yes"}, "X-Powered-By": nil,
			} {
				if got := a.Header[name]; !slices.Equal(got, want) {
					l.Errorf("%s: %q, not %q", name, got, want)
				}
			}
			if cookies := fmt.Sprint(a.Header["Set-Cookie"]); strings.Contains(cookies, "a=b") || strings.Contains(cookies, "renewed") != (target == "/x") {
				l.Errorf("the client receives %s", cookies)
			}
		})
	}
	t.Run("not of pages of ours", func(t *testing.T) {
		l := l.on(t)
		for _, a := range []answer{l.send("GET", "/x"), l.send("GET", "/oauth2/sign_out"), l.send("GET", "/admin/x", as("alice"))} {
			if a.Header.Get("Server") != "" || a.Header.Get("X-Said") != "" {
				t.Errorf("answer %s %v", a.Status, a.Header)
			}
		}
	})
	t.Run("not of WebSockets", func(t *testing.T) {
		l := l.on(t)
		l.e.answers(echoSocket)
		l.opens(socketRequest("/public/x", "Origin: https://app.test"))
	})
}

func TestP154WhatARouteSetsKeepsPrivateWhatIs(t *testing.T) {
	l := newLab(t, responding(Response{Set: map[string]string{"Cache-Control": "max-age=60"}}))
	l.both(t, "GET", "/x", []string{as("alice")}, func(l *lab, a answer) {
		if l.passed(a); a.Header.Get("Cache-Control") != "private, max-age=60" {
			l.Errorf("answer %v", a.Header)
		}
	})
	l.both(t, "GET", "/public/x", nil, func(l *lab, a answer) {
		if l.passed(a); a.Header.Get("Cache-Control") != "max-age=60" {
			l.Errorf("answer %v", a.Header)
		}
	})
}

func TestP154DirectivesThatContradictPrivateGo(t *testing.T) {
	for said, want := range map[string]string{
		"public, private": "private", "private, s-maxage=60": "private", "no-store, public, max-age=9": "no-store, max-age=9", "no-store, must-understand, max-age=60": "no-store, max-age=60",
		"private": "private", "no-store, private": "no-store, private", "must-understand": "private", ", ,": "private", "Private, S-MAXAGE=1": "Private",
	} {
		h := http.Header{"Cache-Control": {said}}
		keepPrivate(h)
		if got := h.Get("Cache-Control"); got != want {
			t.Errorf("%q becomes %q, not %q", said, got, want)
		}
	}
	h := http.Header{"Cache-Control": {"max-age=1", "public", "no-cache"}}
	keepPrivate(h)
	if got := h["Cache-Control"]; !slices.Equal(got, []string{"private, max-age=1, no-cache"}) || private[0] != "private" {
		t.Errorf("%q", got)
	}
	kept := http.Header{"Cache-Control": {"private, max-age=60"}}
	if n := testing.AllocsPerRun(100, func() { keepPrivate(kept) }); n != 0 {
		t.Errorf("%v allocations for what is private already", n)
	}
}

func TestHeadersThatARouteMayNotTouchAreRefused(t *testing.T) {
	for says, c := range map[string]struct {
		r      Response
		public bool
	}{
		"response_headers.set.Content-Length: it says how":            {r: Response{Set: map[string]string{"Content-Length": "1"}}},
		"response_headers.set.transfer-encoding: it says how":         {r: Response{Set: map[string]string{"transfer-encoding": "chunked"}}},
		"response_headers.set.Set-Cookie: a cookie":                   {r: Response{Set: map[string]string{"Set-Cookie": "__Host-doorward=x"}}, public: true},
		"response_headers.default.X-A: the text must be printable":    {r: Response{Default: map[string]string{"X-A": "a\r\nSet-Cookie: b"}}},
		"response_headers.set.X-A: it is empty":                       {r: Response{Set: map[string]string{"X-A": ""}}},
		"response_headers.set.X_A: a header name":                     {r: Response{Set: map[string]string{"X_A": "1"}}},
		"response_headers.set.x-a: X-A stands in set already":         {r: Response{Set: map[string]string{"X-A": "1", "x-a": "1"}}},
		"response_headers.default.X-A: X-A stands in set already":     {r: Response{Set: map[string]string{"X-A": "1"}, Default: map[string]string{"X-A": "1"}}},
		"response_headers.remove[0]: X-A stands in set already":       {r: Response{Set: map[string]string{"X-A": "1"}, Remove: []string{"x-a"}}},
		"response_headers.remove[1]: Content-Encoding says how":       {r: Response{Remove: []string{"X-A", "content-encoding"}}},
		"response_headers.remove[0]: \"a b\"":                         {r: Response{Remove: []string{"a b"}}},
		"response_headers.set.Cache-Control: no shared cache":         {r: Response{Set: map[string]string{"Cache-Control": "max-age=1, Public"}}},
		"response_headers.default.Cdn-Cache-Control: no shared cache": {r: Response{Default: map[string]string{"Cdn-Cache-Control": "max-age=1"}}},
		"response_headers.set.Clear-Site-Data: \"cookies\" and \"*\"": {r: Response{Set: map[string]string{"Clear-Site-Data": `"*"`}}},
		"compress[1]: \"br\"":                                         {r: Response{Compress: []string{"gzip", "br"}}},
		"compress[1]: \"gzip\" stands there twice":                    {r: Response{Compress: []string{"gzip", "gzip"}}},
	} {
		if _, err := newResponse(Route{Response: c.r, Public: c.public}, newEncoders()); err == nil || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%v, want %s", err, says)
		}
	}
	if _, err := newResponse(Route{Public: true, Response: Response{Set: map[string]string{"Cache-Control": "public, s-maxage=60"}}}, newEncoders()); err != nil {
		t.Error(err)
	}
}

// trailing is an upstream that says in trailers what it could not say in its header.
func trailing(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Trailer", "Set-Cookie, X-Gone, X-Said, Grpc-Status, Cache-Control, Www-Authenticate")
	_, _ = io.WriteString(w, "E")
	h := w.Header()
	for _, prefix := range []string{"", http.TrailerPrefix} {
		h[prefix+"Set-Cookie"] = []string{"__Host-doorward=evil"}
		h[prefix+"X-Gone"] = []string{"1"}
		h[prefix+"X-Said"] = []string{"E's"}
		h[prefix+"Cache-Control"] = []string{"public"}
		h[prefix+"Www-Authenticate"] = []string{"Basic"}
		h[prefix+"Content-Encoding"] = []string{"gzip"}
		h[prefix+"Access-Control-Allow-Origin"] = []string{"*"}
		h[prefix+"Cross-Origin-Opener-Policy"] = []string{"unsafe-none"}
		h[prefix+"Location"] = []string{"https://evil.test/"}
	}
	h.Set("Grpc-Status", "0")
	h.Set(http.TrailerPrefix+"Grpc-Message", "fine")
}

func TestTrailersSayNothingThatTheHeaderMayNotSay(t *testing.T) {
	l := newLab(t, responding(Response{Remove: []string{"X-Gone"}, Set: map[string]string{"X-Said": "ours"}}))
	l.e.answers(trailing)
	for _, target := range []string{"/x", "/public/x"} {
		l.both(t, "GET", target, []string{as("alice")}, func(l *lab, a answer) {
			l.passed(a)
			got := a.Trailer
			if a.ProtoMajor == 2 {
				got = a.Header // the laboratory puts both into one
			}
			if got.Get("Grpc-Status") != "0" || got.Get("Grpc-Message") != "fine" && a.ProtoMajor == 2 {
				l.Errorf("what gRPC needs is lost: %v", got)
			}
			for _, name := range []string{"Set-Cookie", "X-Gone", "Www-Authenticate", "Content-Encoding", "Access-Control-Allow-Origin", "Cross-Origin-Opener-Policy", "Location"} {
				if got[name] != nil {
					l.Errorf("%s passes: %q", name, got[name])
				}
			}
			if said := slices.Concat(a.Header["X-Said"], a.Trailer["X-Said"]); !slices.Equal(said, []string{"ours"}) {
				l.Errorf("X-Said: %q", said)
			}
			if strings.Contains(fmt.Sprint(a.Header["Cache-Control"], a.Trailer["Cache-Control"]), "public") {
				l.Errorf("a shared cache is let in behind the body: %v %v", a.Header, a.Trailer)
			}
		})
	}
}

func TestInformationalAnswersPassScrubbedAndTakeNothingAway(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		responding(Response{Remove: []string{"X-Gone"}})(c, d)
		c.Routes[2].Response.Remove = []string{"Link"}
	})
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Link", "</a.css>; rel=preload")
		h.Set("Set-Cookie", "__Host-doorward=evil")
		h.Set("X-Gone", "1")
		w.WriteHeader(http.StatusProcessing)
		w.WriteHeader(http.StatusEarlyHints)
		clear(h)
		_, _ = io.WriteString(w, "E")
	})
	l.both(t, "GET", "/x", []string{as("renewed")}, func(l *lab, a answer) {
		l.passed(a)
		if cookies := a.Header["Set-Cookie"]; len(cookies) != 1 || !strings.Contains(cookies[0], "=renewed") {
			l.Errorf("the client receives the cookies %q", cookies)
		}
		if slices.Contains(a.informed, 102) || a.ProtoMajor == 1 && !slices.Equal(a.informed, []int{103}) {
			l.Errorf("%v came first", a.informed)
		}
	})
	t.Run("what of them passes", func(t *testing.T) {
		for target, links := range map[string]bool{"/x": true, "/public/x": false} {
			l := l.on(t)
			r := bufio.NewReader(l.write(request("GET", target, as("alice"))))
			hints, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !links {
				if hints.StatusCode != 200 {
					t.Errorf("%s: %s %v", target, hints.Status, hints.Header)
				}
				continue
			}
			if hints.StatusCode != 103 || len(hints.Header) != 1 || hints.Header.Get("Link") == "" {
				t.Errorf("%s: %s %v", target, hints.Status, hints.Header)
			}
		}
	})
}
