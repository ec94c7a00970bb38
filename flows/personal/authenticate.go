package personal

import (
	"context"
	"net/http"
	"sync/atomic"

	"github.com/doorward/doorward/internal/credentials"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/sessions/store"
)

// Authenticate answers who sends the personal token in Authorization: "Bearer dwp.…", or Basic with the token for a password and
// any user name, in exactly one Authorization header. ok is false, without a word why, for a token that is unknown, has ended,
// was revoked, is for another host, or whose login is not configured any more.
//
// The identity is the same pointer for as long as nothing about it changes. An error is a *pages.Error insufficient_scope, which
// wraps a *credentials.Refusal, where a token for reading only was used for something else; any other wraps
// store.ErrUnavailable.
func (t *Tokens) Authenticate(_ http.ResponseWriter, r *http.Request) (*identity.Identity, bool, error) {
	tok, here, ok := t.presented(r)
	if !ok {
		return nil, false, nil
	}
	id := tok.id()
	e, err := t.find(r.Context(), tok, id)
	if err != nil || e == nil || !e.at(here) {
		return nil, false, err
	}
	if e.readOnly && !reads(r) {
		return nil, false, readOnly(here)
	}
	t.touch(id, e)
	return e.who, true, nil
}

// Alive reports whether the token that r came with still counts. It is no use of it.
func (t *Tokens) Alive(r *http.Request, who *identity.Identity) (bool, error) {
	now, err := t.Current(r, who)
	return now != nil, err
}

// Current is Alive for who wants to know also what its owner's last sign-in or refresh has made of who; nil = it does not
// count any more.
func (t *Tokens) Current(r *http.Request, who *identity.Identity) (*identity.Identity, error) {
	tok, here, ok := t.presented(r)
	if !ok {
		return nil, nil
	}
	e, err := t.find(r.Context(), tok, tok.id())
	if err != nil || e == nil || !e.at(here) || e.who.Key() != who.Key() || e.who.Session != who.Session {
		return nil, err
	}
	return e.who, nil
}

// presented reads the token that r carries, and the host that it carries it to.
func (t *Tokens) presented(r *http.Request) (tok token, here origin.Origin, ok bool) {
	lines := r.Header["Authorization"]
	if t.longest <= 0 || len(lines) != 1 {
		return tok, here, false
	}
	if text, bearer := credentials.Bearer(lines[0]); bearer {
		tok, ok = parseToken(text)
	} else {
		var buf [256]byte
		_, password, _, _ := credentials.Basic(lines[0], buf[:])
		tok, ok = parseToken(password)
	}
	if !ok {
		return tok, here, false
	}
	here, ok = t.deps.Origins.Lookup(r.Host)
	return tok, here, ok
}

// find returns what is known of a token. Nothing that is not there is remembered.
func (t *Tokens) find(ctx context.Context, tok token, id digest) (*entry, error) {
	now := t.deps.Now()
	if e := t.cache.get(id); e != nil && now.Before(e.ends) {
		return e, nil
	}
	e, err := t.read(ctx, tok, id)
	if e == nil || err != nil || !now.Before(e.ends) || !t.deps.Valid(e.who) {
		return nil, err
	}
	if old := t.cache.stale(id); old != nil {
		e.touched = old.touched
	}
	t.cache.put(id, e)
	return e, nil
}

// read reads a token from the store.
func (t *Tokens) read(ctx context.Context, tok token, id digest) (*entry, error) {
	e := &entry{as: t.cache.generation(id), touched: new(atomic.Int64)}
	key, inList := tokenKeys+id.String(), listedKeys+id.String()
	items, err := t.deps.Store.Get(ctx, key, inList)
	if err != nil {
		return nil, unavailable(err)
	}
	item, entryOf := items[0], items[1]
	plain, ok := tok.open(t.deps.Ring, item.Value, key)
	if !ok {
		return nil, nil
	}
	rec, ok := decode[tokenRecord](plain)
	if !ok {
		return nil, nil
	}
	// What is in no list cannot be revoked: it was, while it was being made, or while its records moved to another key.
	if l, ok := t.listed(inList, entryOf.Value); !ok || l.Issuer != rec.Issuer || l.Subject != rec.Subject {
		return nil, nil
	}
	if e.owner, ok = parseDigest(rec.Owner); !ok {
		return nil, nil
	}
	e.asOf = t.cache.generation(e.owner)
	o, of, err := t.owner(ctx, e.owner)
	if o == nil || err != nil || o.Issuer != rec.Issuer || o.Subject != rec.Subject {
		return nil, err
	}
	if t.old(item) || t.old(of) || t.old(entryOf) {
		t.reseal(id, rec, e.owner, o)
	}
	e.ends, e.hosts, e.readOnly = rec.ends(t.longest), origins(rec.Hosts), rec.ReadOnly
	e.who = rec.identity(id, o, e.ends)
	e.weight = uint32(len(item.Value)+len(of.Value)) + entryWeight
	return e, nil
}

// get returns what stands under a key.
func (t *Tokens) get(ctx context.Context, key string) (store.Item, error) {
	items, err := t.deps.Store.Get(ctx, key)
	if err != nil {
		return store.Item{}, unavailable(err)
	}
	return items[0], nil
}

// readMethods are those that RFC 9110 §9.2.1 calls safe, and of WebDAV those that only read (RFC 4918 §9.1, RFC 3253 §3.6,
// RFC 5323 §2).
var readMethods = map[string]bool{
	http.MethodGet: true, http.MethodHead: true, http.MethodOptions: true, "PROPFIND": true, "REPORT": true, "SEARCH": true,
}

// reads reports whether a request can be meant to change nothing. What follows an upgrade is no request, and may do anything.
func reads(r *http.Request) bool { return readMethods[r.Method] && r.Header["Upgrade"] == nil }

func readOnly(here origin.Origin) error {
	refusal := &credentials.Refusal{
		Word: credentials.InsufficientScope, Description: "This personal token is for reading only, by GET, HEAD, OPTIONS, PROPFIND, REPORT and SEARCH",
	}
	return &pages.Error{Code: codeScope, Detail: refusal.Description + ".", Challenge: []string{refusal.Challenge(here.Authority())}, Err: refusal}
}
