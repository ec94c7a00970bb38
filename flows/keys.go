package flows

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/internal/telemetry"
)

const (
	keySize = 32  // random bytes of a key
	minKey  = 22  // characters: 128 bits in base64. A shorter one could be guessed, as its hash is a quick one
	maxKey  = 256 // characters of one that somebody brings from elsewhere
)

// Key is one [key.NAME]: an API key of a machine.
type Key struct {
	Name    string
	Hash    [32]byte // SHA-256 of the key. It has 32 random bytes, so no slow hash is needed
	Owner   string   // shown in logs, and claim "owner"
	Groups  []string
	Scopes  []string
	Expires time.Time // zero = never
}

// NewKey makes an API key: "dwk." and 32 random bytes in base64url. Its hash is what [Key] has.
func NewKey() (key secret.String, hash [32]byte) {
	b := make([]byte, keySize)
	_, _ = rand.Read(b) // never fails: it ends the process instead
	text := credentials.KeyPrefix + base64.RawURLEncoding.EncodeToString(b)
	return secret.New(text), sha256.Sum256([]byte(text))
}

// apiKey is a key, ready to be found.
type apiKey struct {
	hash    [32]byte
	expires time.Time
	who     *identity.Identity
}

func (f *Flows) addKeys(keys []Key) error {
	f.keys, f.wrongKeys = make(map[string]*apiKey, len(keys)), newBudget(f.deps.Now, nil)
	owners := make(map[[32]byte]string, len(keys))
	for _, k := range keys {
		switch other, taken := owners[k.Hash]; {
		case k.Name == "":
			return errors.New("key: a key without a name")
		case f.keys[k.Name] != nil:
			return fmt.Errorf("key.%s: there are two of this name", k.Name)
		case k.Hash == [32]byte{}:
			return fmt.Errorf("key.%s: hash: it is missing", k.Name)
		case taken:
			return fmt.Errorf("key.%s: hash: it is the key of %q already; who calls could not be told", k.Name, other)
		}
		owners[k.Hash], f.keys[k.Name] = k.Name, newAPIKey(k)
	}
	return nil
}

func newAPIKey(k Key) *apiKey {
	claims := map[string]any{"iss": IssuerKeys, "sub": k.Name}
	if k.Owner != "" {
		claims["owner"] = k.Owner
	}
	return &apiKey{k.Hash, k.Expires, &identity.Identity{
		Issuer: IssuerKeys, Subject: k.Name, Machine: true, Client: k.Name, Groups: slices.Clone(k.Groups), Scopes: slices.Clone(k.Scopes),
		Ends: k.Expires, Claims: ownClaims(claims),
	}}
}

// Keys authenticates by API key: it implements proxy.Authenticator and proxy.Streams. What is compared is a hash, by
// looking it up, so that the time tells nothing about a key. A wrong key is nobody's, not an error; whoever
// sends many gets too_many_requests (429), but never in the place of a right one.
type Keys struct {
	flows  *Flows
	header string
	byHash map[[32]byte]*apiKey
}

// Keys returns what reads the keys of these names, or all of them, from a header that holds nothing else.
func (f *Flows) Keys(header string, names []string) (*Keys, error) {
	k := &Keys{flows: f, header: http.CanonicalHeaderKey(header), byHash: make(map[[32]byte]*apiKey)}
	if header == "" || strings.ContainsFunc(header, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == ':' }) {
		return nil, fmt.Errorf("key_header: %q is no name of a header", header)
	}
	for _, name := range names {
		key := f.keys[name]
		if key == nil || k.byHash[key.hash] != nil {
			return nil, fmt.Errorf("keys: there is no [key.%s], or it stands there twice", name)
		}
		k.byHash[key.hash] = key
	}
	if len(names) == 0 {
		for _, key := range f.keys {
			k.byHash[key.hash] = key
		}
	}
	if len(k.byHash) == 0 {
		return nil, errors.New("keys: there are no keys")
	}
	return k, nil
}

// Authenticate answers whose key r carries; ok is false where it carries none, two, a wrong one, or one that expired.
func (k *Keys) Authenticate(w http.ResponseWriter, r *http.Request) (*identity.Identity, bool, error) {
	if len(r.Header[k.header]) == 0 {
		return nil, false, nil
	}
	key := k.find(r)
	switch {
	case key == nil:
		return nil, false, k.failed(w)
	case key.expired(k.flows.deps.Now()):
		rec := telemetry.From(w)
		rec.Err = errors.Join(rec.Err, fmt.Errorf("key.%s expired on %s", key.who.Subject, key.expires.UTC().Format(time.RFC3339)))
		return nil, false, nil
	}
	return key.who, true, nil
}

// Alive reports whether who would still be let in with the key that r carries. Once the configuration was replaced nobody
// is: it may have been for this key's sake (P180). Whoever has one that counts comes again.
func (k *Keys) Alive(r *http.Request, who *identity.Identity) (bool, error) {
	now, err := k.Current(r, who)
	return now != nil, err
}

// Current is Alive for who wants to know also what the configuration says of who by now; nil = their key does not count any
// more.
func (k *Keys) Current(r *http.Request, who *identity.Identity) (*identity.Identity, error) {
	key := k.find(r)
	if k.flows.deps.Sessions.Closed() || key == nil || key.who.Key() != who.Key() || key.expired(k.flows.deps.Now()) {
		return nil, nil
	}
	return key.who, nil
}

// find returns the key that r carries, nil if it is none.
func (k *Keys) find(r *http.Request) *apiKey {
	lines := r.Header[k.header]
	if len(lines) != 1 || len(lines[0]) < minKey || len(lines[0]) > maxKey {
		return nil
	}
	var text [maxKey]byte
	hash := sha256.Sum256(text[:copy(text[:], lines[0])])
	clear(text[:])
	return k.byHash[hash]
}

func (a *apiKey) expired(now time.Time) bool { return !a.expires.IsZero() && !now.Before(a.expires) }

// failed counts a wrong key against the address that it came from.
func (k *Keys) failed(w http.ResponseWriter) error {
	from := network(telemetry.From(w).Client)
	if wait := k.flows.wrongKeys.wait(from); wait > 0 {
		return &pages.Error{Code: codeTooMany, RetryAfter: wait, Detail: "Too many wrong keys have come from this network."}
	}
	k.flows.wrongKeys.fail(from)
	return nil
}
