// Package idptest starts identity providers for tests.
package idptest

import (
	"testing"

	"github.com/doorward/doorward/demo/idp"
	"github.com/doorward/doorward/internal/testnet"
)

// Start runs a provider on a loopback socket until the test ends. An empty Issuer becomes
// "http://127.0.0.1:PORT"; one that begins with "/" is put behind that.
func Start(t testing.TB, config idp.Config) *idp.Server { panic("unbuilt") }

// Serve runs a provider in memory, at the host and port of config.Issuer.
func Serve(t testing.TB, net *testnet.Network, config idp.Config) *idp.Server { panic("unbuilt") }
