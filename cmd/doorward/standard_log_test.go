package main

import (
	"bytes"
	stdlog "log"
	"log/slog"
	"strings"
	"testing"
)

func TestP189WhatLibrariesQuoteOfAnUpstreamStaysOutOfTheLog(t *testing.T) {
	flags, out := stdlog.Flags(), stdlog.Writer()
	t.Cleanup(func() { stdlog.SetFlags(flags); stdlog.SetOutput(out) })
	var b bytes.Buffer
	quietStandardLog(slog.New(slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug})))
	stdlog.Printf("Unsolicited response received on idle HTTP channel starting with %q; err=<nil>", "Set-Cookie: canary")
	stdlog.Printf("odd header %q", "canary")
	if got := b.String(); strings.Contains(got, "canary") || !strings.Contains(got, "Unsolicited response received on idle HTTP channel") {
		t.Error(got)
	}
}
