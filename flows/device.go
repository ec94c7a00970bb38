package flows

import (
	"errors"

	"github.com/doorward/doorward/flows/provider"
)

type device struct{}

func newDevice(_ *provider.Client, _ Login) (*device, error) { return nil, errors.New("not built") }

func (f *Flows) deviceEndpoints() []endpoint { return nil }
