package idp

// Always returns the sin for every request until Heal.
func (s Sin) Always() Sin { s.Times = Always; return s }

// On returns the sin at another endpoint.
func (s Sin) On(endpoint string) Sin { s.Endpoint = endpoint; return s }

// WrongIssuer puts another iss into the ID token.
func WrongIssuer() Sin {
	return Sin{Name: "wrong_iss", Claims: map[string]any{"iss": "https://evil.example"}}
}
