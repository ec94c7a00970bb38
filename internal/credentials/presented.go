package credentials

// Presented is a bearer token as a request presents it, with what of the request a proof of possession speaks of.
type Presented struct {
	Token  string   // as it stood in the request; never empty
	Scheme string   // "Bearer" or "DPoP": how it was presented
	Proofs []string // every DPoP header of the request (RFC 9449 §4.3 wants exactly one)
	Method string   // of the request
	URL    string   // its target as it is seen from outside, without query and fragment (htu)

	// Certificate is the base64url SHA-256 of the DER form of the client certificate that the caller has proved to hold,
	// on our own TLS listener or at a trusted proxy: x5t#S256 of RFC 8705 §3.1. "" = none.
	Certificate string
}
