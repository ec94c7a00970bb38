package flows

import (
	"errors"

	"github.com/doorward/doorward/flows/provider"
)

type password struct{}

func newPassword(_ *provider.Client, _ Login) (*password, error) { return nil, errors.New("not built") }

func (f *Flows) passwordEndpoints() []endpoint { return nil }
