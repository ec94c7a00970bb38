// Package flows is described in docs/architecture.md.
package flows
