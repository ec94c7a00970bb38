package flows

import (
	"errors"

	"github.com/doorward/doorward/flows/provider"
)

type ciba struct{}

func newCIBA(_ *provider.Client, _ Login) (*ciba, error) { return nil, errors.New("not built") }

func (f *Flows) cibaEndpoints() []endpoint { return nil }
