package personal

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/seal"
)

// Keys in the store. Only what requests are judged by lies below liveKeys, which is watched: the entries of lists change with
// each "last used".
const (
	liveKeys   = "personal/live/"
	tokenKeys  = liveKeys + "token/"
	ownerKeys  = liveKeys + "owner/"
	listedKeys = "personal/listed/"

	purposeOwner  seal.Purpose = "personal: owner"
	purposeListed seal.Purpose = "personal: listed"
)

const (
	recordVersion = 1
	maxRecord     = 96 << 10 // bytes of a record, decrypted
	sessionPrefix = "pat:"   // of Identity.Session
)

// inKey returns the digest in a key below liveKeys.
func inKey(key string) (id digest, ok bool) {
	i := strings.LastIndexByte(key, '/')
	return parseDigest(key[i+1:])
}

// tokenRecord is what stays as it was when the token was minted. Times are Unix milliseconds.
type tokenRecord struct {
	Version  int      `json:"v"`
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Provider string   `json:"provider"`
	Login    string   `json:"login"`
	Client   string   `json:"client,omitempty"`
	ACR      string   `json:"acr,omitempty"`
	AMR      []string `json:"amr,omitempty"`
	AuthTime int64    `json:"auth_time,omitempty"`
	Owner    string   `json:"owner"` // digest of the owner's record
	Scopes   []string `json:"scopes,omitempty"`
	Hosts    []string `json:"hosts"` // origins
	ReadOnly bool     `json:"read_only,omitempty"`
	Created  int64    `json:"created"`
	Ends     int64    `json:"ends"`
}

// ownerRecord is what the last login said about somebody, by one provider and one login: another login of the same person may
// be given less, and then says less.
type ownerRecord struct {
	Version       int             `json:"v"`
	Issuer        string          `json:"iss"`
	Subject       string          `json:"sub"`
	Email         string          `json:"email,omitempty"`
	EmailVerified bool            `json:"email_verified,omitempty"`
	Username      string          `json:"username,omitempty"`
	Name          string          `json:"name,omitempty"`
	Groups        []string        `json:"groups,omitempty"`
	Scopes        []string        `json:"scopes,omitempty"`
	Claims        json.RawMessage `json:"claims"`
	AsOf          int64           `json:"as_of"` // when this was said
	Until         int64           `json:"until"` // end of the last token that needs it
}

// listedRecord is an entry of a person's list.
type listedRecord struct {
	Version  int      `json:"v"`
	Issuer   string   `json:"iss"`
	Subject  string   `json:"sub"`
	Name     string   `json:"name"`
	Scopes   []string `json:"scopes,omitempty"`
	Hosts    []string `json:"hosts"`
	ReadOnly bool     `json:"read_only,omitempty"`
	Created  int64    `json:"created"`
	Ends     int64    `json:"ends"`
	Used     int64    `json:"used,omitempty"`

	id digest // from its key
}

// version makes decode refuse what another Doorward wrote in another way.
func (r *tokenRecord) version() int  { return r.Version }
func (r *ownerRecord) version() int  { return r.Version }
func (r *listedRecord) version() int { return r.Version }

// decode reads a record. Anything but a whole record of this version is no record, and there is no error to tell why.
func decode[T any, R interface {
	*T
	version() int
}](b []byte) (R, bool) {
	rec := R(new(T))
	if len(b) > maxRecord || json.Unmarshal(b, rec) != nil || rec.version() != recordVersion {
		return nil, false
	}
	return rec, true
}

func encode(rec any) ([]byte, error) {
	b, err := json.Marshal(rec)
	if err != nil {
		return nil, fmt.Errorf("personal token: %w", err)
	}
	if len(b) > maxRecord {
		return nil, fmt.Errorf("%w: a record of %d kB", errTooLarge, len(b)>>10)
	}
	return b, nil
}

// said is what a login, or its session, says about its person.
func said(who *identity.Identity, asOf time.Time) (*ownerRecord, error) {
	claims := who.Claims.Raw()
	if len(claims) > maxClaims {
		return nil, fmt.Errorf("%w: claims of %d kB, and no token may have more than %d", errTooLarge, len(claims)>>10, maxClaims>>10)
	}
	return &ownerRecord{
		Version: recordVersion, Issuer: who.Issuer, Subject: who.Subject, Email: who.Email, EmailVerified: who.EmailVerified,
		Username: who.Username, Name: who.Name, Groups: who.Groups, Scopes: who.Scopes, Claims: claims, AsOf: asOf.UnixMilli(),
	}, nil
}

// ends is the end as things stand: a limit that was made stricter counts for tokens that are there already.
func (r *tokenRecord) ends(longest time.Duration) time.Time {
	return time.UnixMilli(min(r.Ends, r.Created+longest.Milliseconds()))
}

// identity is who a token acts as: the owner as last known, proved as it was at the minting. A scope that the login is not given
// any more is gone from its tokens as well.
func (r *tokenRecord) identity(id digest, o *ownerRecord, ends time.Time) *identity.Identity {
	who := &identity.Identity{
		Issuer: r.Issuer, Subject: r.Subject, Provider: r.Provider, Login: r.Login, Client: r.Client,
		Email: o.Email, EmailVerified: o.EmailVerified, Username: o.Username, Name: o.Name, Groups: o.Groups,
		Scopes: slices.DeleteFunc(r.Scopes, func(s string) bool { return !slices.Contains(o.Scopes, s) }),
		ACR:    r.ACR, AMR: r.AMR, Session: sessionPrefix + id.String(), Ends: ends, Claims: identity.NewClaims(o.Claims),
	}
	if r.AuthTime != 0 {
		who.AuthTime = time.UnixMilli(r.AuthTime)
	}
	return who
}

// origins are those of a record that can still be read.
func origins(hosts []string) (all []origin.Origin) {
	for _, h := range hosts {
		if o, err := origin.Parse(h); err == nil {
			all = append(all, o)
		}
	}
	return all
}
