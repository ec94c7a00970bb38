// Package seal is described in docs/architecture.md.
package seal
