// Package pages is described in docs/architecture.md.
package pages
