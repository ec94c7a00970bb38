package e2e

import (
	"errors"
	"slices"
	"sync"
)

// suite is what outlives single tests: servers that are too slow to start for each.
var suite struct {
	mu   sync.Mutex
	ends []func() error
}

// atEnd runs end once all tests have run, the last one first.
func atEnd(end func() error) {
	suite.mu.Lock()
	defer suite.mu.Unlock()
	suite.ends = append(suite.ends, end)
}

// endSuite ends what was started.
func endSuite() error {
	suite.mu.Lock()
	defer suite.mu.Unlock()
	var errs []error
	for _, end := range slices.Backward(suite.ends) {
		errs = append(errs, end())
	}
	return errors.Join(errs...)
}
