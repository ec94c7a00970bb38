package config

import (
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/proxy"
)

// The keys of a [[route]] that say how its upstreams share the requests, how it is found out how they are, and how they are
// spoken to.

func balanceKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"policy": {form: word, words: []string{"round_robin", "least_connections"}}, "weights": {form: numbers}, "sticky": {form: boolean},
	}}
}

func healthKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"path": {form: text}, "interval": {form: text}, "timeout": {form: text}, "rise": {form: number}, "fall": {form: number},
	}}
}

func ejectKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{"failures": {form: number}, "for": {form: text}}}
}

func upstreamTLSKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"ca_file": {form: text}, "cert": {form: text}, "key": {form: secretText}, "server_name": {form: text},
	}}
}

func timeoutsKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"connect": {form: text}, "header": {form: text}, "idle": {form: text}, "total": {form: text},
	}}
}

// balance reads them. What belongs together is judged by the proxy's own constructor.
func (t table) balance(upstreams int) proxy.Balance {
	share, tls := t.table("balance"), t.table("upstream_tls")
	b := proxy.Balance{
		Policy: share.text("policy"), Weights: share.numbers("weights"), Sticky: share.boolean("sticky", false),
		Health: t.health(), Eject: t.eject(), Retries: t.retries(), Protocol: t.text("protocol"), Timeouts: t.timeouts(),
		RootCAs: tls.caFile(), Cert: tls.pem("cert"), Key: tls.pem("key"), ServerName: tls.filled("server_name", ""),
	}
	if listed := len(t.list("upstream")); listed != upstreams { // one of them is wrong, which is reported already
		b.Weights = nil
		return b
	}
	if upstreams == 1 {
		for _, key := range []string{"policy", "weights", "sticky"} {
			if share.given(key) && share.value(key) != nil {
				share.wrong(key, "it has no effect with one upstream; name several, or leave it out")
				share.value(key).bad = true
			}
		}
		b.Weights = nil
	}
	if upstreams == 0 {
		for _, key := range []string{"balance", "health", "eject", "retries", "protocol", "upstream_tls", "timeouts"} {
			if t.given(key) {
				t.wrong(key, "it has no effect without an upstream")
			}
		}
		return proxy.Balance{}
	}
	return b
}

func (t table) health() *proxy.Health {
	h := t.table("health")
	if h.node == nil {
		return nil
	}
	if !h.given("path") {
		h.wrong("path", `it is missing; it is the path that tells how the upstream is, such as "/healthz"`)
	}
	c := &proxy.Health{
		Path:     h.textOr("path", "/"),
		Interval: h.duration("interval", 10*time.Second, time.Second, time.Hour),
		Timeout:  h.duration("timeout", 2*time.Second, 10*time.Millisecond, time.Minute),
		Rise:     int(h.number("rise", 2, 1, 100)),
		Fall:     int(h.number("fall", 3, 1, 100)),
	}
	if h.given("timeout") && c.Timeout > c.Interval {
		h.wrong("timeout", "it is longer than interval, so that checks would overlap")
	}
	return c
}

func (t table) eject() *proxy.Eject {
	e := t.table("eject")
	if e.node == nil {
		return nil
	}
	c := &proxy.Eject{Failures: int(e.number("failures", 5, 0, 10_000)), For: e.duration("for", 30*time.Second, time.Second, 24*time.Hour)}
	if c.Failures == 0 {
		c.Failures = -1 // never
	}
	return c
}

// retries tells "none" from "not said".
func (t table) retries() int {
	n := int(t.number("retries", 0, 0, 5))
	if n == 0 && t.given("retries") {
		return -1
	}
	return n
}

func (t table) timeouts() proxy.Timeouts {
	s := t.table("timeouts")
	return proxy.Timeouts{
		Connect: s.duration("connect", 5*time.Second, 10*time.Millisecond, 10*time.Minute),
		Header:  s.duration("header", 2*time.Minute, 10*time.Millisecond, 24*time.Hour),
		Idle:    s.orNone("idle"),
		Total:   s.orNone("total"),
	}
}

// orNone reads a limit that "0s" switches off.
func (t table) orNone(key string) time.Duration {
	d := t.duration(key, 0, 0, 7*24*time.Hour)
	if d > 0 && d < time.Second {
		t.wrong(key, "%s is too short; at least 1s, or 0s for no limit", t.value(key).shown())
		return 0
	}
	return d
}

// pem reads a text in PEM form, which is in a file as a rule.
func (t table) pem(key string) []byte {
	v := t.value(key)
	if v == nil {
		return nil
	}
	if !strings.Contains(v.text, "-----BEGIN ") {
		t.wrong(key, `it holds nothing in PEM form; write "${file:client.pem}" to have it read from a file`)
		v.bad = true
		return nil
	}
	return []byte(v.text)
}

// numbers reads a list of whole numbers; nil only if the key is missing.
func (t table) numbers(key string) []int {
	v := t.value(key)
	if v == nil {
		return nil
	}
	list := make([]int, 0, len(v.items))
	for _, item := range v.items {
		n, err := strconv.Atoi(item.text)
		if err != nil {
			n = -1 // the constructor says what is possible, at its place
		}
		list = append(list, n)
	}
	return list
}
