package flows

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/secret"
)

// Issuers of identities that Doorward itself vouches for. No provider can have one: they are no URLs.
const (
	IssuerUsers = "urn:doorward:users" // of [users.NAME] with a password
	IssuerKeys  = "urn:doorward:keys"  // of [key.NAME]
)

const (
	maxLocalTries = 64  // passwords of local users that are tried or wait at a time
	maxLocalName  = 255 // bytes
)

// User is one [users.NAME]: a local user, or a file of them.
type User struct {
	Name   string        // subject, and what is typed; of a file: its name only, the issuer is IssuerUsers + ":" + Name
	Hash   secret.String // argon2id ("$argon2id$v=19$m=…,t=…,p=…$salt$hash") or bcrypt ("$2a$", "$2b$", "$2y$"); zero with Lines
	Lines  []byte        // of an htpasswd file with bcrypt or argon2id hashes; a reload brings new ones. nil with Hash
	Email  string        // counts as verified: the operator wrote it
	Groups []string
}

// CheckUser validates one [users.NAME] by itself as [New] does, for whoever reads a configuration: the error begins with
// the key that is wrong ("password: …", "htpasswd: line 3: …"), and never shows a hash.
func CheckUser(u User) error {
	_, err := readUser(u)
	return err
}

// localUser is somebody whose password's hash we have.
type localUser struct {
	table           string // the [users.NAME] that they are of
	issuer, subject string
	email           string
	groups          []string
	hash            passwordHash
	mark            [sha256.Size]byte // of all of this and the text of the hash: what a proof depends on
}

// localUsers are all [users.NAME].
type localUsers struct {
	tables  []string
	all     []*localUser
	tries   *tries
	hashing chan struct{} // takes a processor, and memory. Half of them are left to those whose proof is known
}

func (f *Flows) addUsers(users []User) error {
	l := &localUsers{
		tries:   newTries(IssuerUsers, maxLocalTries, codeOverloaded, maxUserStrikes),
		hashing: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)),
	}
	for _, u := range users {
		if slices.Contains(l.tables, u.Name) {
			return fmt.Errorf("users.%s: there are two of this name", u.Name)
		}
		read, err := readUser(u)
		if err != nil {
			return fmt.Errorf("users.%s: %w", u.Name, err)
		}
		l.tables, l.all = append(l.tables, u.Name), append(l.all, read...)
	}
	f.local = l
	return nil
}

// readUser returns the one user that u is, or all of its file.
func readUser(u User) ([]*localUser, error) {
	switch {
	case u.Name == "":
		return nil, errors.New("name: a user without a name")
	case u.Hash.IsZero() == (u.Lines == nil):
		return nil, errors.New("password: a user has a password, and a file of them has lines; exactly one is needed")
	case u.Lines != nil:
		return readHtpasswd(u)
	}
	if err := checkLocalName(u.Name); err != nil {
		return nil, fmt.Errorf("name: %w", err)
	}
	hash, err := parseHash(u.Hash.Reveal())
	if err != nil {
		return nil, fmt.Errorf("password: %w", err)
	}
	return []*localUser{newLocalUser(u, IssuerUsers, u.Name, u.Hash.Reveal(), hash)}, nil
}

func newLocalUser(u User, issuer, subject, text string, hash passwordHash) *localUser {
	l := &localUser{table: u.Name, issuer: issuer, subject: subject, email: u.Email, groups: u.Groups, hash: hash}
	h := hashing{Hash: sha256.New()}
	for _, part := range append([]string{issuer, subject, text, u.Email}, u.Groups...) {
		h.add([]byte(part))
	}
	h.Sum(l.mark[:0])
	return l
}

// checkLocalName refuses names that nobody could sign in under.
func checkLocalName(name string) error {
	switch {
	case name == "":
		return errors.New("it is empty")
	case len(name) > maxLocalName:
		return fmt.Errorf("it is longer than %d bytes", maxLocalName)
	case !plain(name), strings.TrimSpace(name) != name, strings.Contains(name, ":"):
		return errors.New("a user name is text without colons, control characters, and spaces at either end")
	case credentials.IsTicket(name):
		return errors.New("it looks like a ticket or a key")
	}
	return nil
}

// BasicUsers authenticates by HTTP Basic against local users, those of the [users.NAME] that are named or of all. Like
// Basic, it is for routes that accept basic, and is to be called before anything is served.
//
// A session that a password began ends at once with a change of its user: another hash, address or group, or none.
func (f *Flows) BasicUsers(names []string) (*Basic, error) {
	if len(names) == 0 {
		names = f.local.tables
	}
	j := &usersJudge{flows: f, byName: make(map[string]*localUser)}
	for i, name := range names {
		if !slices.Contains(f.local.tables, name) || slices.Contains(names[:i], name) {
			return nil, fmt.Errorf("users: there is no [users.%s], or it stands there twice", name)
		}
		j.tables = append(j.tables, name)
	}
	slices.Sort(j.tables)
	for _, u := range f.local.all {
		if !slices.Contains(j.tables, u.table) {
			continue
		}
		if other := j.byName[u.subject]; other != nil {
			return nil, fmt.Errorf("users: %q is in [users.%s] and in [users.%s]; a route can have one of the name", u.subject, other.table, u.table)
		}
		j.byName[u.subject] = u
		j.all = append(j.all, u)
	}
	if len(j.all) == 0 {
		return nil, errors.New("users: there are no local users")
	}
	return f.basic(j)
}

// usersJudge compares with the hashes that the configuration has.
type usersJudge struct {
	flows  *Flows
	tables []string
	byName map[string]*localUser
	all    []*localUser
}

func (j *usersJudge) scope() []string { return append([]string{"", "users"}, j.tables...) } // no login has no name

var nobody [sha256.Size]byte

func (j *usersJudge) stamp(username []byte) []byte {
	if u := j.byName[string(username)]; u != nil {
		return u.mark[:]
	}
	return nobody[:]
}

// current is false once the configuration was replaced: a stream that it let in ends, because nobody can say any more
// whether its user is there still (P180). Whoever is comes again.
func (j *usersJudge) current() bool { return !j.flows.deps.Sessions.Closed() }

func (j *usersJudge) prove(ctx context.Context, t typed, name digestOf) (*identity.Identity, error) {
	local := j.flows.local
	return j.flows.try(ctx, local.tries, t, name, func(ctx context.Context) (*identity.Identity, *pages.Error, bool) {
		select {
		case local.hashing <- struct{}{}:
			defer func() { <-local.hashing }()
		case <-ctx.Done():
			return nil, &pages.Error{Code: codeOverloaded, RetryAfter: retryAfter, Err: context.Cause(ctx)}, false
		}
		u, known := j.byName[t.username]
		if !known {
			u = j.decoy(t.username)
		}
		if right := u.hash.matches([]byte(t.password.Reveal())); !right || !known {
			return nil, wrongCredentials(errors.New("no local user has this name and this password")), true
		}
		return u.identity(j.flows.deps.Now()), nil, true
	})
}

// decoy returns whose hash is compared for a name that nobody has, so that it takes as long as with one that somebody has
// (P174). It is always the same one for the same name, on all replicas: hashes may differ in what they cost.
func (j *usersJudge) decoy(username string) *localUser {
	h := hashing{Hash: j.flows.deps.Ring.Hash(purposePassword)}
	h.add([]byte("decoy"), []byte(username))
	return j.all[binary.BigEndian.Uint64(h.Sum(nil))%uint64(len(j.all))]
}

// identity is what a right password proves.
func (u *localUser) identity(now time.Time) *identity.Identity {
	claims := map[string]any{"iss": u.issuer, "sub": u.subject, "preferred_username": u.subject, "auth_time": now.Unix(), "amr": []string{"pwd"}}
	if u.email != "" {
		claims["email"], claims["email_verified"] = u.email, true
	}
	if len(u.groups) > 0 {
		claims["groups"] = u.groups
	}
	return &identity.Identity{
		Issuer: u.issuer, Subject: u.subject, Username: u.subject, Email: u.email, EmailVerified: u.email != "",
		Groups: slices.Clone(u.groups), AMR: []string{"pwd"}, AuthTime: now, Claims: ownClaims(claims),
	}
}

// ownClaims makes claims of what we say ourselves.
func ownClaims(claims map[string]any) *identity.Claims {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(claims); err != nil {
		panic("flows: " + err.Error()) // texts, lists of texts, numbers
	}
	return identity.NewClaims(bytes.TrimSpace(text.Bytes()))
}

// tableOf returns the [users.NAME] that an identity is of, if Doorward vouched for it as for a local user.
func tableOf(who *identity.Identity) (table string, local bool) {
	file, local := strings.CutPrefix(who.Issuer, IssuerUsers)
	if !local || file != "" && file[0] != ':' {
		return "", false
	}
	return cmp.Or(strings.TrimPrefix(file, ":"), who.Subject), true
}
