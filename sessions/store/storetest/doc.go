// Package storetest is the contract of store.Store as tests. A store passes [Run], also
// under the race detector, before anything else may use it.
//
// It tests what every store promises, and nothing about where the bytes are: limits, files
// and connections are tested beside their store. It never sleeps; time is the clock that it
// hands to the store.
//
// Start reading at [Run].
package storetest
