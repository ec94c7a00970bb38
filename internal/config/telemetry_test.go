package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/telemetry"
)

func TestTelemetryIsOffUnlessSomebodyTurnsItOn(t *testing.T) {
	c := given{toml: minimal}.mustLoad(t)
	if c.Audit != (telemetry.AuditConfig{}) || c.Trace.URL != "" {
		t.Errorf("%+v %+v", c.Audit, c.Trace)
	}
	c = given{toml: minimal, env: []string{"OTEL_SERVICE_NAME=x", "OTEL_TRACES_SAMPLER=nonsense"}}.mustLoad(t)
	if c.Trace.URL != "" || len(c.Warnings()) != 0 {
		t.Errorf("%+v %v", c.Trace, c.Warnings())
	}
}

func TestAuditSaysWhereAndHowMuch(t *testing.T) {
	for toml, want := range map[string]telemetry.AuditConfig{
		`audit = { to = "stdout" }`:                                      {To: "stdout", Privacy: "full"},
		`audit = { to = "/var/log/doorward/a.jsonl", privacy = "hash" }`: {To: "/var/log/doorward/a.jsonl", Privacy: "hash"},
	} {
		if c := (given{toml: minimal + "[telemetry]\n" + toml}).mustLoad(t); c.Audit != want {
			t.Errorf("%s: %+v", toml, c.Audit)
		}
	}
	for name, b := range map[string]broken{
		"a word":          {minimal + "[telemetry]\naudit = { to = \"stdot\" }\n", `"stdot"`, `write "./stdot"`},
		"nothing":         {minimal + "[telemetry]\naudit = { to = \"\" }\n", `""`, "it is empty"},
		"with the log":    {minimal + "[telemetry]\naudit = { to = \"stderr\" }\n", `"stderr"`, "the log goes to the standard error"},
		"a directory":     {minimal + "[telemetry]\naudit = { to = \"/var/log/\" }\n", `"/var/log/"`, "is a directory"},
		"nowhere":         {minimal + "[telemetry]\naudit = { privacy = \"hash\" }\n", `"hash"`, `nothing is written before "to" says where`},
		"unknown privacy": {minimal + "[telemetry]\naudit = { to = \"stdout\", privacy = \"hashed\" }\n", `"hashed"`, `did you mean "hash"?`},
		"otlp by name":    {minimal + "[telemetry]\notlp = \"127.0.0.1:4318\"\n", `"127.0.0.1:4318"`, `is not a URL such as "http://127.0.0.1:4318"`},
		"otlp with a key": {minimal + "[telemetry]\notlp = \"https://c.test/?key=1\"\n", `"https://c.test/?key=1"`, "OTEL_EXPORTER_OTLP_HEADERS"},
	} {
		t.Run(name, b.check)
	}
}

func TestARelativeAuditLogLiesBesideTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	for to, want := range map[string]string{"audit.jsonl": "audit.jsonl", "./audit": "audit", "log/a.jsonl": "log/a.jsonl"} {
		c := given{toml: minimal + "[telemetry]\naudit = { to = \"" + to + "\" }\n", dir: dir}.mustLoad(t)
		if c.Audit.To != filepath.Join(dir, want) {
			t.Errorf("%s: %s", to, c.Audit.To)
		}
	}
	t.Chdir(dir)
	c, err := Load(Options{Path: "doorward.toml", Environ: []string{}})
	if err != nil || !filepath.IsAbs(c.Audit.To) {
		t.Errorf("of a relative configuration: %v", err)
	}
}

func TestTheVariablesOfOpenTelemetryAreHonoured(t *testing.T) {
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, []byte("pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	all := []string{
		"OTEL_EXPORTER_OTLP_HEADERS=api-key=s%20ecret,x=1", "OTEL_SERVICE_NAME=front", "OTEL_RESOURCE_ATTRIBUTES=deployment.environment=prod,service.name=other",
		"OTEL_TRACES_SAMPLER=ParentBased_TraceIDRatio", "OTEL_TRACES_SAMPLER_ARG=0.25", "OTEL_EXPORTER_OTLP_TIMEOUT=2000", "OTEL_EXPORTER_OTLP_CERTIFICATE=" + ca,
	}
	want := telemetry.TraceConfig{
		Headers: map[string]string{"api-key": "s ecret", "x": "1"}, Timeout: 2 * time.Second, CA: []byte("pem"), Service: "front",
		Resource: map[string]string{"deployment.environment": "prod", "service.name": "other"}, Sampler: "parentbased_traceidratio", Ratio: 0.25,
	}
	otlp := minimal + "[telemetry]\notlp = \"http://127.0.0.1:4318/\"\n"
	for name, c := range map[string]struct {
		toml string
		env  []string
		url  string
	}{
		"the key":                 {otlp, nil, "http://127.0.0.1:4318/v1/traces"},
		"the key wins":            {otlp, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://b:1"}, "http://127.0.0.1:4318/v1/traces"},
		"the endpoint":            {minimal, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://b:1/base"}, "http://b:1/base/v1/traces"},
		"the endpoint for traces": {minimal, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://b:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c:2/x"}, "http://c:2/x"},
	} {
		got := given{toml: c.toml, env: append(c.env, all...)}.mustLoad(t)
		want.URL = c.url
		if !reflect.DeepEqual(got.Trace, want) || len(got.Warnings()) != 0 {
			t.Errorf("%s: %+v, want %+v; %v", name, got.Trace, want, got.Warnings())
		}
	}
	for _, off := range []string{"OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=none"} {
		if c := (given{toml: otlp, env: []string{off}}).mustLoad(t); c.Trace.URL != "" {
			t.Errorf("%s does not count", off)
		}
	}
}

func TestAVariableThatCannotBeReadWarnsAndStopsNobody(t *testing.T) {
	otlp := minimal + "[telemetry]\notlp = \"http://127.0.0.1:4318\"\n"
	for env, says := range map[string]string{
		"OTEL_EXPORTER_OTLP_HEADERS=secret-without-a-name":                        "OTEL_EXPORTER_OTLP_HEADERS",
		"OTEL_EXPORTER_OTLP_HEADERS=a=%0d%0aX: 1":                                 "OTEL_EXPORTER_OTLP_HEADERS",
		"OTEL_EXPORTER_OTLP_HEADERS=Authorization: Bearer secret-without-a-name=": "OTEL_EXPORTER_OTLP_HEADERS",
		"OTEL_EXPORTER_OTLP_HEADERS=a\u00e9=secret-without":                       "OTEL_EXPORTER_OTLP_HEADERS",
		"OTEL_EXPORTER_OTLP_TIMEOUT=99999999999":                                  "OTEL_EXPORTER_OTLP_TIMEOUT",
		"OTEL_TRACES_SAMPLER=often":                                               "OTEL_TRACES_SAMPLER",
		"OTEL_TRACES_SAMPLER_ARG=2":                                               "OTEL_TRACES_SAMPLER_ARG",
		"OTEL_EXPORTER_OTLP_TIMEOUT=1s":                                           "OTEL_EXPORTER_OTLP_TIMEOUT",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere.pem":                             "OTEL_EXPORTER_OTLP_CERTIFICATE",
	} {
		c := given{toml: otlp, env: []string{env}}.mustLoad(t)
		w := strings.Join(c.Warnings(), "\n")
		if !strings.HasPrefix(w, says+": ") || strings.Contains(w, "secret-without") || c.Trace.URL == "" {
			t.Errorf("%s: %q", env, w)
		}
		if c.Trace.Ratio != 1 || c.Trace.Timeout != 0 || len(c.Trace.Headers) != 0 || c.Trace.Sampler != "" || c.Trace.CA != nil {
			t.Errorf("%s counts, though nobody can read it: %+v", env, c.Trace)
		}
		if _, err := telemetry.NewTracer(c.Trace, "", nil, nil); err != nil {
			t.Errorf("%s: %v", env, err)
		}
	}
	for _, env := range []string{"OTEL_EXPORTER_OTLP_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json"} {
		c := given{toml: minimal, env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://b:4317", env}}.mustLoad(t)
		if c.Trace.URL != "" || len(c.Warnings()) != 1 {
			t.Errorf("%s: %+v %v", env, c.Trace, c.Warnings())
		}
	}
}
