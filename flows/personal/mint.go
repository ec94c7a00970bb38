package personal

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
)

// person is who asks for their tokens, by their session.
type person struct {
	who   *identity.Identity
	asOf  time.Time // when what the session says was said
	here  origin.Origin
	reach []origin.Origin // hosts at which the session counts, here first
	index string          // of their list
}

// limits are what a wish came out as.
type limits struct {
	name     string
	life     time.Duration
	scopes   []string
	hosts    []string // origins
	readOnly bool
}

// judge holds a wish against the session: nothing may become more than that.
func (t *Tokens) judge(p *person, w wish) (l limits, err error) {
	l = limits{name: w.name, life: w.life, readOnly: w.readOnly}
	if l.life == 0 {
		l.life = min(usualLife, t.longest)
	}
	if l.life < shortestLife || l.life > t.longest {
		return l, bad(fmt.Sprintf("A token may last from %s to %s.", inWords(shortestLife), inWords(t.longest)))
	}
	for _, s := range w.scopes {
		if !slices.Contains(p.who.Scopes, s) {
			return l, bad("A token can only have scopes that your own sign-in has.")
		}
		if !slices.Contains(l.scopes, s) {
			l.scopes = append(l.scopes, s)
		}
	}
	for _, h := range w.hosts {
		o, known := t.host(h)
		if !known || !slices.Contains(p.reach, o) {
			return l, bad("A token can only be for hosts at which you are signed in by the same session.")
		}
		if !slices.Contains(l.hosts, o.String()) {
			l.hosts = append(l.hosts, o.String())
		}
	}
	if len(l.hosts) == 0 {
		l.hosts = []string{p.here.String()}
	}
	return l, nil
}

// host reads a host as people write it: with or without its scheme.
func (t *Tokens) host(s string) (origin.Origin, bool) {
	if o, ok := t.deps.Origins.Lookup(s); ok {
		return o, true
	}
	want, err := origin.Parse(s)
	if err != nil {
		return origin.Origin{}, false
	}
	o, ok := t.deps.Origins.Lookup(want.Authority())
	return o, ok && o == want
}

// mint makes a token. The order is what makes each of them revocable: no token counts before it is in its owner's list.
func (t *Tokens) mint(ctx context.Context, p *person, l limits) (tok token, listed *listedRecord, err error) {
	if p.who.Machine {
		return tok, nil, &pages.Error{Code: codeDenied, Detail: "Personal tokens are for people."}
	}
	if err := t.room(ctx, p, maxTokens-1); err != nil {
		return tok, nil, err
	}
	now := t.deps.Now()
	snapshot, err := said(p.who, p.asOf)
	if err != nil {
		return tok, nil, err
	}
	if err := t.charge(ctx, p, now); err != nil {
		return tok, nil, err
	}
	owner, err := t.ownerName(ctx, p.who)
	if err != nil {
		return tok, nil, err
	}
	ends := now.Add(l.life)
	if err := t.keep(ctx, owner, snapshot, ends); err != nil {
		return tok, nil, err
	}
	tok = newToken()
	listed = &listedRecord{
		Version: recordVersion, Issuer: p.who.Issuer, Subject: p.who.Subject, Name: l.name, Scopes: l.scopes, Hosts: l.hosts,
		ReadOnly: l.readOnly, Created: now.UnixMilli(), Ends: ends.UnixMilli(), id: tok.id(),
	}
	if err := t.write(ctx, p, tok, listed, owner, l.life); err != nil {
		t.forget(context.WithoutCancel(ctx), listed.id)
		return tok, nil, err
	}
	return tok, listed, nil
}

func (t *Tokens) write(ctx context.Context, p *person, tok token, listed *listedRecord, owner digest, life time.Duration) error {
	plain, err := encode(listed)
	if err != nil {
		return err
	}
	key := listedKeys + listed.id.String()
	if err := t.deps.Store.Put(ctx, key, t.deps.Ring.Seal(purposeListed, plain, []byte(key)), life, p.index); err != nil {
		return unavailable(err)
	}
	if err := t.room(ctx, p, maxTokens); err != nil { // of several at once, those that are too many see each other here
		return err
	}
	rec := &tokenRecord{
		Version: recordVersion, Issuer: p.who.Issuer, Subject: p.who.Subject, Provider: p.who.Provider, Login: p.who.Login, Client: p.who.Client,
		ACR: p.who.ACR, AMR: p.who.AMR, Owner: owner.String(), Scopes: listed.Scopes, Hosts: listed.Hosts, ReadOnly: listed.ReadOnly,
		Created: listed.Created, Ends: listed.Ends,
	}
	if !p.who.AuthTime.IsZero() {
		rec.AuthTime = p.who.AuthTime.UnixMilli()
	}
	if plain, err = encode(rec); err != nil {
		return err
	}
	key = tokenKeys + listed.id.String()
	if err := t.deps.Store.Put(ctx, key, tok.seal(t.deps.Ring, plain, key), life); err != nil {
		return unavailable(err)
	}
	return nil
}

// room refuses if somebody has more tokens than so many.
func (t *Tokens) room(ctx context.Context, p *person, most int) error {
	keys, err := t.deps.Store.List(ctx, p.index, "", maxTokens+1)
	if err != nil {
		return unavailable(err)
	}
	if len(keys) > most {
		return bad(fmt.Sprintf("You have %d tokens, and nobody may have more. Revoke one that you no longer need.", maxTokens))
	}
	return nil
}

// charge counts the tokens that somebody mints: who has got hold of a session must not be able to hide one among hundreds.
func (t *Tokens) charge(ctx context.Context, p *person, now time.Time) error {
	name, err := t.names.of(ctx, "mints", p.who.Issuer, p.who.Subject)
	if err != nil {
		return err
	}
	window := mintWindow.Milliseconds()
	n := now.UnixMilli() / window
	count, err := t.deps.Store.Add(ctx, "personal/mints/"+name.String()+"/"+strconv.FormatInt(n, 10), 1, mintWindow)
	if err != nil {
		return unavailable(err)
	}
	if count > maxMints {
		return &pages.Error{
			Code: codeTooMany, RetryAfter: time.Duration((n+1)*window-now.UnixMilli()) * time.Millisecond,
			Detail: fmt.Sprintf("You have made %d tokens within an hour. Wait a while before the next one.", maxMints),
		}
	}
	return nil
}

// inWords is a length of time that a person chose, or may choose.
func inWords(d time.Duration) string {
	for _, unit := range []struct {
		long time.Duration
		name string
	}{{365 * 24 * time.Hour, "year"}, {24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d >= unit.long && d%unit.long == 0 {
			if d == unit.long {
				return "one " + unit.name
			}
			return fmt.Sprintf("%d %ss", d/unit.long, unit.name)
		}
	}
	return d.String()
}
