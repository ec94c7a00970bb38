package flows

import (
	"errors"

	"github.com/doorward/doorward/flows/provider"
)

func newFrontChannel(_ *provider.Client, _ Login) (flow, error) { return nil, errors.New("not built") }
