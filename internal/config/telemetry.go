package config

import "github.com/doorward/doorward/internal/telemetry"

func telemetryKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"log": {form: tables, keys: map[string]*spec{
			"format": {form: word, words: []string{"auto", "json", "text"}},
			"level":  {form: word, words: []string{"debug", "info", "warn", "error"}},
		}},
		"audit": {form: later, note: "the access log has one line per request"},
		"otlp":  {form: later},
	}}
}

func readTelemetry(t table) telemetry.LogConfig {
	log := t.table("log")
	return telemetry.LogConfig{Format: log.textOr("format", "auto"), Level: log.textOr("level", "info")}
}
