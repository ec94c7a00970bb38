package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/proxy"
)

func limitsKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"max_body": {form: text}, "concurrent": {form: number}, "per_user": {form: text}, "per_address": {form: text},
	}}
}

func maintenanceKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"on": {form: boolean}, "file": {form: text}, "message": {form: text}, "retry_after": {form: text}, "except": {form: list},
	}}
}

// limits reads what a route takes at most.
func (t table) limits() proxy.Limits {
	l := t.table("limits")
	if l.node != nil && len(l.node.keys) == 0 {
		t.wrong("limits", "it is empty; name one of max_body, concurrent, per_user and per_address, or leave it out")
	}
	return proxy.Limits{
		MaxBody:    l.size("max_body", 0, 1, 1<<50),
		Concurrent: int(l.number("concurrent", 0, 1, 1_000_000)),
		PerUser:    l.rate("per_user"),
		PerAddress: l.rate("per_address"),
	}
}

// rate reads so many requests in so much time: "100/1m".
func (t table) rate(key string) proxy.Rate {
	v := t.value(key)
	if v == nil {
		return proxy.Rate{}
	}
	requests, per, found := strings.Cut(v.text, "/")
	n, notNumber := strconv.Atoi(strings.TrimSpace(requests))
	d, notTime := time.ParseDuration(strings.TrimSpace(per))
	switch {
	case !found || notNumber != nil || notTime != nil:
		t.wrong(key, "%s is no rate; write requests and time, such as \"100/1m\" or \"20/1s\"", v.shown())
	case n < 1 || n > 1_000_000:
		t.wrong(key, "%s: from 1 to 1000000 requests are possible", v.shown())
	case d < time.Second || d > 24*time.Hour:
		t.wrong(key, "%s: the time must be from 1s to 24h", v.shown())
	default:
		return proxy.Rate{Requests: n, Per: d}
	}
	return proxy.Rate{}
}

// maintenance reads what closes a route for a while.
func (t table) maintenance() *proxy.Maintenance {
	m := t.table("maintenance")
	if m.node == nil {
		return nil
	}
	if !m.given("on") && !m.given("file") {
		t.wrong("maintenance", "neither on nor file says when the route is closed; write on = true, or the path of a file that closes it as long as it is there")
	}
	file := m.filled("file", "")
	if file != "" {
		file = t.l.beside(file)
	}
	if m.boolean("on", false) {
		t.l.warn("%s: maintenance: the route is closed", t.path)
	}
	return &proxy.Maintenance{
		On:         m.boolean("on", false),
		File:       file,
		Message:    m.filled("message", ""),
		RetryAfter: m.duration("retry_after", 5*time.Minute, time.Second, 7*24*time.Hour),
		Except:     m.prefixes("except"),
	}
}
