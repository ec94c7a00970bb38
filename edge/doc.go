// Package edge is where connections arrive and where the process ends well: listeners
// (TCP and unix sockets), the limits that keep a slow or hostile client from holding
// resources, the admin listener, and the drain at shutdown.
//
// It looks at no route, no cookie and no token, and it terminates no TLS yet.
//
// Start at [Server.Run]; the answers of the admin listener are in admin.go.
package edge
