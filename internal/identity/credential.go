package identity

import (
	"fmt"
	"log/slog"
)

// Credential is what goes upstream for an identity, ready to be put into a request: the end of "an identity becomes a
// credential, a credential goes upstream". It is never modified after it was built, and is shared by requests.
type Credential struct {
	Name   string   // of the [credential.NAME] that it is made by
	Tokens *Tokens  // what it is made of; AccessToken is never zero
	Header string   // canonical name of the header that it is; "Cookie" = it is a cookie and comes beside those of the client
	Values []string // of that header, exactly one, built once. With Cookie: "NAME=VALUE"
}

// Format keeps Values out of everything that fmt prints (S10).
func (c Credential) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(c.shown())) }

// MarshalJSON keeps Values out of JSON.
func (c Credential) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, "%q", c.shown()), nil }

// LogValue keeps Values out of structured logs.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.shown()) }

func (c Credential) shown() string { return "[credential " + c.Name + " in " + c.Header + "]" }
