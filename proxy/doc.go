// Package proxy is described in docs/architecture.md.
package proxy
