// Package sessions is described in docs/architecture.md.
package sessions
