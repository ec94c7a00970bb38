// Package provider is described in docs/architecture.md.
package provider
