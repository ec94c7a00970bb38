package idp

import "time"

// Endpoint names, used in Request.Endpoint, Count and Sin.Endpoint.
const (
	Discovery  = "discovery" // OpenID and RFC 8414 documents
	JWKS       = "jwks"
	Authorize  = "authorize" // the authorization request
	Token      = "token"
	UserInfo   = "userinfo"
	Introspect = "introspect"
	Revoke     = "revoke"
	EndSession = "end_session"
	Login      = "login"   // the login form
	Consent    = "consent" // the consent form
	Device     = "device"  // the device authorization request
	CIBA       = "ciba"    // the backchannel authentication request
	Phone      = "phone"   // the page that stands for a person's authentication device
	Control    = "control"

	// Response is the authorization response that ends a login, whichever request caused it;
	// LogoutToken the back-channel logout request. Both are not requested, only for Sin.Endpoint.
	Response    = "response"
	LogoutToken = "logout_token"

	// DeviceVerification is the page where a person enters a user code.
	DeviceVerification = "device_verification"

	// Notification is a ping or push that this provider sends to a client. It stands in the
	// records like a request that was received.
	Notification = "notification"
)

// Always makes a sin stay until Heal.
const Always = -1

// Sin is one misbehaviour. The constructors in sins.go make the usual ones; a literal makes any
// other. Fields that are not set change nothing, and what several sins change adds up.
type Sin struct {
	Name     string            `json:"name,omitempty"`     // for Request.Sins
	Endpoint string            `json:"endpoint,omitempty"` // where; "" = Token
	Times    int               `json:"times,omitempty"`    // how many requests; 0 = one, Always = until Heal
	Skip     int               `json:"skip,omitempty"`     // how many matching requests are answered well before
	When     map[string]string `json:"when,omitempty"`     // parameters that the request must have: {"grant_type": "refresh_token"}

	// Instead of an answer.
	Delay    time.Duration     `json:"delay,omitempty"`    // first wait that long (or until the client has gone)
	Hang     bool              `json:"hang,omitempty"`     // never answer, until the client goes, Release or Heal
	Drop     bool              `json:"drop,omitempty"`     // close the connection without an answer
	Lose     bool              `json:"lose,omitempty"`     // do everything, then Drop: a rotation whose answer is lost
	Redirect string            `json:"redirect,omitempty"` // to this URL, with Status (= 307)
	Status   int               `json:"status,omitempty"`   // with Body, or Error
	Body     string            `json:"body,omitempty"`
	Type     string            `json:"type,omitempty"`      // Content-Type of Body, = application/json
	Oversize int64             `json:"oversize,omitempty"`  // that many bytes of valid JSON
	Error    string            `json:"error,omitempty"`     // OAuth error code; as a redirect where the endpoint redirects
	Describe string            `json:"describe,omitempty"`  // error_description
	Header   map[string]string `json:"header,omitempty"`    // of the answer, whatever else happens; "" removes
	DateSkew time.Duration     `json:"date_skew,omitempty"` // of the Date header

	// In the answer.
	Set     map[string]any      `json:"set,omitempty"`     // members of the JSON answer (discovery, JWKS, token, userinfo, introspection); null removes
	Rename  map[string]string   `json:"rename,omitempty"`  // members of the JSON answer that get another name, after Set
	Prepend []any               `json:"prepend,omitempty"` // keys put before the others of the JWKS
	Params  map[string][]string `json:"params,omitempty"`  // of the authorization response; none removes, two duplicate

	// At Notification, where Set, Rename and Header change the request that is sent; Drop sends nothing, Delay sends later.
	Replay int  `json:"replay,omitempty"` // send it that many times more
	Other  bool `json:"other,omitempty"`  // with the auth_req_id of another pending request

	// In the ID token (at LogoutToken in the logout token, at UserInfo in the signed answer).
	Claims      map[string]any `json:"claims,omitempty"`       // null removes
	Shift       map[string]int `json:"shift,omitempty"`        // seconds added to a time claim: {"exp": -600}
	RawClaims   string         `json:"raw_claims,omitempty"`   // JSON members put before the others: a duplicate
	JOSE        map[string]any `json:"jose,omitempty"`         // members of the JOSE header; null removes
	Sign        string         `json:"sign,omitempty"`         // how: see the Sign constants
	AccessToken bool           `json:"access_token,omitempty"` // Claims … Sign concern the access token instead
}

// How a token is signed, in Sin.Sign.
const (
	SignNone           = "none"             // alg none, empty signature
	SignHS256PublicKey = "hs256_public_key" // HS256 with the PEM of the public RSA key as secret: algorithm confusion
	SignHS256Secret    = "hs256_client_secret"
	SignWrongKey       = "wrong_key"    // another key under the same kid
	SignUnknownKey     = "unknown_key"  // a key that is published nowhere, under its own kid
	SignEmpty          = "empty"        // right header, no signature
	SignCorrupt        = "corrupt"      // one bit of the signature flipped
	SignFreshKey       = "fresh_key"    // rotate first, so that the kid is new to everyone, but published
	SignEmbeddedKey    = "embedded_key" // another key, carried in the jwk header member
)
