//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package main

import (
	"errors"
	"os"
)

// silence is what this system has no standard way for.
func silence(*os.File) (show func(), err error) { return nil, errors.ErrUnsupported }
