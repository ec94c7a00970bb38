// Package telemetry is described in docs/architecture.md.
package telemetry
