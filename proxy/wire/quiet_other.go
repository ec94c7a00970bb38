//go:build !unix || aix

package wire

import "net"

// quiet can't be known here: connections are used once.
type quiet struct{}

func (q *quiet) watch(net.Conn) {}
func (q *quiet) known() bool    { return false }
func (q *quiet) isQuiet() bool  { return false }
