package idp

import (
	"crypto/rand"
	"maps"
	"sync"
	"time"
)

// state is all that the provider remembers, in memory only. One lock guards it all.
type state struct {
	mu           sync.Mutex
	sessions     map[string]*session
	interactions map[string]*interaction
	codes        map[string]*code
	refresh      map[string]*refreshToken
	access       map[string]*accessToken
	assertions   map[string]time.Time // jti of client assertions, until they expire
	consents     map[consent]bool
	devices      map[string]*deviceRequest // by device code
	userCodes    map[string]*deviceRequest // the same, by user code
	ciba         map[string]*cibaRequest   // by auth_req_id
	failures     map[string]*failures      // by subject
	swept        time.Time
}

func newState() *state {
	return &state{
		sessions: map[string]*session{}, interactions: map[string]*interaction{}, codes: map[string]*code{},
		refresh: map[string]*refreshToken{}, access: map[string]*accessToken{},
		assertions: map[string]time.Time{}, consents: map[consent]bool{},
		devices: map[string]*deviceRequest{}, userCodes: map[string]*deviceRequest{}, ciba: map[string]*cibaRequest{}, failures: map[string]*failures{},
	}
}

// session is a browser that is signed in here.
type session struct {
	id       string // also the sid of tokens; the cookie holds another value
	cookie   string
	user     *User
	authTime time.Time
	acr      string
	expires  time.Time
	clients  map[string]bool // that got tokens: they are told about the logout
	guesses  int             // user codes typed here that do not exist
	stepUp   string          // the claims parameter that the person signed in for
}

// grant is what one consent has brought a client. All tokens that descend from it die with it.
type grant struct {
	client   *Client
	user     *User
	sid      string
	authTime time.Time
	acr      string
	nonce    string
	scopes   []string
	offline  bool   // outlives the session
	machine  bool   // nobody's but the client's own: user is its service account
	stepUp   string // the claims parameter of the authorization request
	revoked  bool
}

type code struct {
	grant       *grant
	redirectURI string
	challenge   string
	used        bool
	expires     time.Time
}

type refreshToken struct {
	grant   *grant
	rotated bool
	expires time.Time
}

type accessToken struct {
	grant   *grant
	scopes  []string
	claims  map[string]any // what it says, or would say if it were no opaque value
	expires time.Time
	revoked bool
}

// consent remembers that a user has agreed to a scope for a client.
type consent struct{ subject, client, scope string }

// sweep forgets what has expired, at most once a minute. Codes and refresh tokens are kept
// some time longer, so that a replay is recognised.
func (st *state) sweep(now time.Time) {
	if now.Sub(st.swept) < time.Minute {
		return
	}
	st.swept = now
	const replay = time.Hour
	maps.DeleteFunc(st.sessions, func(_ string, s *session) bool { return now.After(s.expires) })
	maps.DeleteFunc(st.interactions, func(_ string, i *interaction) bool { return now.After(i.expires) })
	maps.DeleteFunc(st.codes, func(_ string, c *code) bool { return now.After(c.expires.Add(replay)) })
	maps.DeleteFunc(st.refresh, func(_ string, r *refreshToken) bool { return now.After(r.expires.Add(replay)) })
	maps.DeleteFunc(st.access, func(_ string, a *accessToken) bool { return now.After(a.expires) })
	for _, devices := range []map[string]*deviceRequest{st.devices, st.userCodes} {
		maps.DeleteFunc(devices, func(_ string, d *deviceRequest) bool { return now.After(d.expires.Add(replay)) })
	}
	maps.DeleteFunc(st.ciba, func(_ string, r *cibaRequest) bool { return now.After(r.expires.Add(replay)) })
	maps.DeleteFunc(st.assertions, func(_ string, until time.Time) bool { return now.After(until) })
}

// endSession signs a browser out and revokes what does not outlive that; mu is held.
func (st *state) endSession(s *session) {
	delete(st.sessions, s.cookie)
	for _, r := range st.refresh {
		if r.grant.sid == s.id && !r.grant.offline {
			r.grant.revoked = true
		}
	}
}

// random is an unguessable value of at least 256 bits.
func random() string { return rand.Text() + rand.Text() }
