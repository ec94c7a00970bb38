package config

import (
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/telemetry"
)

func telemetryKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"log": {form: tables, keys: map[string]*spec{
			"format": {form: word, words: []string{"auto", "json", "text"}},
			"level":  {form: word, words: []string{"debug", "info", "warn", "error"}},
		}},
		"audit": {form: tables, keys: map[string]*spec{
			"to":      {form: text},
			"privacy": {form: word, words: []string{"full", "subject", "hash"}},
		}},
		"otlp": {form: text},
	}}
}

func readTelemetry(t table, c *Config) {
	log := t.table("log")
	c.Log = telemetry.LogConfig{Format: log.textOr("format", "auto"), Level: log.textOr("level", "info")}
	c.Audit = readAudit(t.table("audit"))
	c.Trace = t.readTraces()
}

func readAudit(t table) (a telemetry.AuditConfig) {
	a = telemetry.AuditConfig{To: t.filled("to", ""), Privacy: t.textOr("privacy", "full")}
	switch {
	case !t.given("to"):
		if t.given("privacy") {
			t.wrong("privacy", `nothing is written before "to" says where: "stdout" or the path of a file`)
		}
		return telemetry.AuditConfig{}
	case a.To == "stderr":
		t.wrong("to", `the log goes to the standard error; "stdout" or the path of a file keeps the audit log apart`)
	case strings.HasSuffix(a.To, "/"):
		t.wrong("to", "%q is a directory; the name of a file in it is missing", a.To)
	case a.To != "" && a.To != "stdout" && !strings.ContainsAny(a.To, "/."):
		t.wrong("to", `%q is neither "stdout" nor looks like a path; write "./%s" if a file of this name is meant`, a.To, a.To)
	case a.To != "" && a.To != "stdout":
		path, err := filepath.Abs(t.l.beside(a.To)) // the directory of the configuration may be "."
		if err != nil {
			t.wrong("to", "%s", err)
		}
		a.To = path
	}
	return a
}

// readTraces reads otlp and the variables of OpenTelemetry. otlp wins over OTEL_EXPORTER_OTLP_ENDPOINT, which turns traces
// on too: who sets it for this process means that.
func (t table) readTraces() (c telemetry.TraceConfig) {
	base := t.text("otlp")
	if t.given("otlp") {
		if err := telemetry.CheckCollector(base); err != nil {
			t.wrong("otlp", "%s", err)
			return c
		}
		c.URL = strings.TrimSuffix(base, "/") + "/v1/traces"
	}
	get := func(name string) string { v, _ := t.l.getenv(name); return strings.TrimSpace(v) }
	if strings.EqualFold(get("OTEL_SDK_DISABLED"), "true") || strings.EqualFold(get("OTEL_TRACES_EXPORTER"), "none") {
		return telemetry.TraceConfig{}
	}
	if c.URL == "" {
		if c.URL = t.collectorOfEnvironment(get); c.URL == "" {
			return telemetry.TraceConfig{}
		}
	}
	c.Service, c.Sampler = get("OTEL_SERVICE_NAME"), strings.ToLower(get("OTEL_TRACES_SAMPLER"))
	t.variable("OTEL_EXPORTER_OTLP_HEADERS", func() (err error) {
		c.Headers, err = headers(either(get, "HEADERS"))
		return err
	})
	t.variable("OTEL_RESOURCE_ATTRIBUTES", func() (err error) {
		c.Resource, err = pairs(get("OTEL_RESOURCE_ATTRIBUTES"))
		return err
	})
	if c.Service == "" {
		c.Service = c.Resource["service.name"]
	}
	t.variable("OTEL_TRACES_SAMPLER_ARG", func() error {
		ratio, err := telemetry.ParseRatio(get("OTEL_TRACES_SAMPLER_ARG"))
		if c.Ratio = ratio; err != nil {
			c.Ratio = 1
		}
		return err
	})
	t.variable("OTEL_TRACES_SAMPLER", func() error {
		err := c.CheckSampler()
		if err != nil {
			c.Sampler = ""
		}
		return err
	})
	t.variable("OTEL_EXPORTER_OTLP_TIMEOUT", func() error {
		v := either(get, "TIMEOUT")
		if v == "" {
			return nil
		}
		ms, err := strconv.ParseUint(v, 10, 22) // 70 minutes
		if err == nil {
			c.Timeout = time.Duration(ms) * time.Millisecond
		}
		return err
	})
	t.variable("OTEL_EXPORTER_OTLP_CERTIFICATE", func() (err error) {
		if path := either(get, "CERTIFICATE"); path != "" {
			c.CA, err = os.ReadFile(path)
		}
		return err
	})
	return c
}

// collectorOfEnvironment is where traces go if the configuration doesn't say; "" = nowhere.
func (t table) collectorOfEnvironment(get func(string) string) (u string) {
	u = get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") // taken as it is
	if base := get("OTEL_EXPORTER_OTLP_ENDPOINT"); u == "" && base != "" {
		u = strings.TrimSuffix(base, "/") + "/v1/traces"
	}
	if u == "" {
		return ""
	}
	if p := either(get, "PROTOCOL"); p != "" && p != "http/protobuf" {
		t.l.warn("OTEL_EXPORTER_OTLP_PROTOCOL: Doorward speaks http/protobuf only, not %q: no traces are sent; OTEL_EXPORTER_OTLP_ENDPOINT must name the collector's HTTP port, 4318 mostly", p)
		return ""
	}
	if err := telemetry.CheckCollector(u); err != nil {
		t.l.warn("OTEL_EXPORTER_OTLP_ENDPOINT: %s: no traces are sent", err)
		return ""
	}
	return u
}

// variable warns about a variable that cannot be read. They are often set for many programs at once, so it keeps none from
// starting.
func (t table) variable(name string, read func() error) {
	if read() != nil {
		t.l.warn("%s: its value cannot be read, and does not count", name) // it may hold a secret
	}
}

// either is a variable of the exporter for traces, or for all signals.
func either(get func(string) string, name string) string {
	if v := get("OTEL_EXPORTER_OTLP_TRACES_" + name); v != "" {
		return v
	}
	return get("OTEL_EXPORTER_OTLP_" + name)
}

// headers reads pairs whose names are those of headers. One that is none must not come to the log as an error of the first
// request: where "=" is missing or a later one, it holds what should have been the value.
func headers(s string) (map[string]string, error) {
	all, err := pairs(s)
	for name := range all {
		if strings.ContainsFunc(name, func(r rune) bool {
			return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
		}) {
			return nil, strconv.ErrSyntax
		}
	}
	return all, err
}

// pairs reads "a=1,b=2", percent-encoded as W3C Baggage has it.
func pairs(s string) (map[string]string, error) {
	all := make(map[string]string)
	for part := range strings.SplitSeq(s, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		name, value, ok := strings.Cut(part, "=")
		name = strings.TrimSpace(name)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !ok || name == "" || err != nil || strings.ContainsAny(name+value, "\r\n\x00") {
			return nil, strconv.ErrSyntax
		}
		all[name] = value
	}
	return all, nil
}
