package provider

// Introspects reports whether bearer tokens of this provider, JWTs too, are judged by asking it (access_tokens =
// "introspect") and not by their signature alone.
func (c *Client) Introspects() bool { return c.conf.AccessTokens == "introspect" }

// ProofAlgs are the algorithms that a DPoP proof may be signed with: algs of the challenge (RFC 9449 §7.1).
func ProofAlgs() []string { return asymmetric() }
