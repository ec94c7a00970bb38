//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package main

// mayWrite cannot be told here without writing.
func mayWrite(string) bool { return true }
