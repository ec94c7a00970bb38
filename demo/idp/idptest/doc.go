// Package idptest starts identity providers for tests, on a loopback socket or in memory.
//
// It is not linked into the program, and configures nothing that a test could not: [Standard] is
// only what most tests want. Start reading at [Start].
package idptest
