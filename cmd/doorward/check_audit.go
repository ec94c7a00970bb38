package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// checkAudit says why serve could not open the audit log, without opening it: check leaves no file behind, and a named pipe
// would notice. What only another user may write to, as whom serve runs, is wrong here, too: check asks as who it is.
func checkAudit(to string) error {
	if to == "" || to == "stdout" {
		return nil
	}
	info, err := os.Stat(to)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checkDirectory(filepath.Dir(to))
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory", to)
	case !mayWrite(to):
		return fmt.Errorf("%s cannot be written to by this user", to)
	}
	return nil
}

// checkDirectory says why no file could be made in a directory.
func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the directory %s does not exist", dir)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no directory", dir)
	case !mayWrite(dir):
		return fmt.Errorf("this user can make no file in %s", dir)
	}
	return nil
}
