// Command bench measures what Doorward costs beyond a bare proxy.
//
// It runs two gateways against one upstream, in turn and pinned to a processor of their
// own: rp-inject, an httputil.ReverseProxy with the same tuned transport that only injects a
// token of the same length, and the real doorward binary with a person's session. README.md beside this file says what is
// measured, how, and what was found.
//
//	go run ./bench
//
// Other comparisons are about tokens for upstreams (machines.go). Two further runs measure no processor time: what cached
// tokens take on the heap (memory.go), and how often the provider is asked when a crowd misses the same token (crowd.go).
//
// It needs Linux (processor affinity, /proc), measures only this machine's loopback, and
// stops by itself. It is no test and decides nothing. Start reading at main.go.
package main
