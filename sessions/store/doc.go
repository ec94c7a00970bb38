// Package store is described in docs/architecture.md.
package store
