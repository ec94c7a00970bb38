package config

import (
	"os"
	"strings"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/proxy"
)

func redirectKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{"to": {form: text}, "status": {form: number}}}
}

func respondKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{"status": {form: number}, "body": {form: text}, "file": {form: text}, "content_type": {form: text}}}
}

func filesKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{"root": {form: text}, "index": {form: text}, "fallback": {form: text}}}
}

// readAnswer reads what a route answers itself. A route with neither that nor an upstream is for forward-auth only.
func (t table) readAnswer() *proxy.Answer {
	var given []string
	for _, key := range [...]string{"upstream", "redirect", "respond", "files"} {
		if t.given(key) {
			given = append(given, key)
		}
	}
	if len(given) > 1 {
		t.wrong(given[1], "there is %s already; a route has one of upstream, redirect, respond and files", given[0])
		return nil
	}
	a := &proxy.Answer{}
	switch {
	case t.value("redirect") != nil:
		a.Redirect = t.redirect()
	case t.value("respond") != nil:
		a.Respond = t.respond()
	case t.value("files") != nil:
		a.Files = t.files()
	default:
		return nil
	}
	t.checkIdle(`this route has no upstream`, "headers", "host_header", "pass_authorization", "websocket_origins")
	if t.value("respond") != nil {
		t.checkIdle("respond is the same for every path", "strip_prefix", "add_prefix", "rewrite")
	}
	if *a == (proxy.Answer{}) { // reported
		return nil
	}
	return a
}

// checkIdle warns of keys that say something about what a route has not.
func (t table) checkIdle(why string, keys ...string) {
	for _, key := range keys {
		if t.given(key) {
			t.l.warn("%s: %s has no effect: %s", t.path, key, why)
		}
	}
}

func (t table) redirect() *proxy.Redirect {
	in := t.table("redirect")
	to := in.filled("to", "")
	if !in.given("to") {
		in.wrong("to", `it is missing; where to, as in "https://www.example.com{path}"`)
	}
	if to == "" {
		return nil
	}
	if rest, ok := strings.CutPrefix(to, "http://"); ok {
		authority, _, _ := strings.Cut(rest, "/")
		if o, err := origin.Parse("http://" + authority); err == nil && inTheClear(o) {
			t.l.warn("%s: redirect leads to %s over plain http, where everybody on the way can read and change what people see", t.path, o.Host)
		}
	}
	found := len(t.l.problems)
	r := &proxy.Redirect{To: to, Status: int(in.number("status", 302, 301, 308))}
	in.node.bad = len(t.l.problems) > found
	return r
}

// checkRedirects finds redirects that a browser would follow until it gives up.
func (c *composer) checkRedirects() {
	origins, err := origin.NewSet(c.c.origins...)
	if err != nil || len(c.c.origins) == 0 {
		return
	}
	endless := proxy.Endless(c.c.Proxy(), origins)
	for _, t := range c.tables {
		if to, ok := endless[t.text("name")]; ok && t.value("redirect") != nil {
			t.table("redirect").wrong("to", "it leads to %s, which is redirected again, and so for ever; name a path or host that another route has", to)
		}
	}
}

func (t table) respond() *proxy.Respond {
	in := t.table("respond")
	r := &proxy.Respond{Status: int(in.number("status", 200, 200, 599)), Body: in.text("body"), ContentType: in.filled("content_type", "")}
	name := in.filled("file", "")
	switch {
	case name == "":
		return r
	case in.given("body"):
		in.wrong("file", "body says the answer already; leave one of the two out")
		return nil
	}
	path := t.l.beside(name)
	t.l.watch(path)
	data, _, err := readFile(path, maxFile)
	if err != nil {
		in.wrong("file", "%s", err)
		return nil
	}
	r.Body = string(data)
	if r.ContentType == "" {
		r.ContentType = proxy.ContentTypeOf(path)
	}
	return r
}

func (t table) files() *proxy.Files {
	in := t.table("files")
	root := in.filled("root", "")
	if !in.given("root") {
		in.wrong("root", `it is missing; the directory to serve, as in "/srv/www"`)
	}
	if root == "" {
		return nil
	}
	root = t.l.beside(root)
	switch info, err := os.Stat(root); {
	case err != nil:
		in.wrong("root", "%s", explain(root, err))
		return nil
	case !info.IsDir():
		in.wrong("root", "%q is no directory", root)
		return nil
	}
	return &proxy.Files{Root: root, Index: in.textOr("index", "index.html"), Fallback: in.textOr("fallback", "")}
}
