package personal

import (
	"context"
	"errors"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/sessions/store"
)

const renewLimit = 10 * time.Second // for what is written in the background

// owner reads an owner's record. One that cannot be read is none.
func (t *Tokens) owner(ctx context.Context, name digest) (*ownerRecord, store.Item, error) {
	key := ownerKeys + name.String()
	item, err := t.get(ctx, key)
	if err != nil {
		return nil, item, err
	}
	plain, err := t.deps.Ring.Open(purposeOwner, item.Value, []byte(key))
	if err != nil {
		return nil, item, nil //nolint:nilerr // see above
	}
	rec, _ := decode[ownerRecord](plain)
	return rec, item, nil
}

// ownerName names the record that all tokens share which somebody minted by one login.
func (t *Tokens) ownerName(ctx context.Context, who *identity.Identity) (digest, error) {
	return t.names.of(ctx, "owner", who.Issuer, who.Subject, who.Provider, who.Login)
}

// keep makes an owner's record last until a new token of theirs has ended. What it says stays, if that is newer than what the
// session says by which the token is minted.
func (t *Tokens) keep(ctx context.Context, name digest, now *ownerRecord, until time.Time) error {
	now.Until = until.UnixMilli()
	return t.amend(ctx, name, func(old *ownerRecord) *ownerRecord {
		if old == nil || old.Issuer != now.Issuer || old.Subject != now.Subject {
			return now
		}
		next := now
		if old.AsOf > now.AsOf {
			next = old
		}
		next.Until = max(old.Until, now.Until)
		return next
	})
}

// amend writes what change makes of an owner's record; nil = it stays as it is.
func (t *Tokens) amend(ctx context.Context, name digest, change func(old *ownerRecord) *ownerRecord) error {
	key := ownerKeys + name.String()
	defer t.cache.invalidate(name)
	for range maxAttempts {
		old, item, err := t.owner(ctx, name)
		if err != nil {
			return err
		}
		next := change(old)
		if next == nil {
			return nil
		}
		life := time.UnixMilli(next.Until).Sub(t.deps.Now())
		if life <= 0 {
			return nil
		}
		plain, err := encode(next)
		if err != nil {
			return err
		}
		done, err := t.deps.Store.Swap(ctx, key, item.Version, t.deps.Ring.Seal(purposeOwner, plain, []byte(key)), life)
		if err != nil {
			return unavailable(err)
		}
		if done {
			return nil
		}
	}
	return unavailable(errOvertaken)
}

// Renew writes into somebody's tokens what a new login says about them: groups, e-mail address, claims. It counts for the tokens
// that were minted by the same login of the same provider; another one may have been given less, and would say less. It is to be
// called after each login, returns at once and works in the background: for most people that is one look into the store.
//
// What has become too large for a token ends the tokens: they must not go on with rights that were taken away since.
func (t *Tokens) Renew(ctx context.Context, who *identity.Identity) {
	if t.longest <= 0 {
		return
	}
	now := t.deps.Now()
	ctx = context.WithoutCancel(ctx)
	t.spawn(func() {
		ctx, cancel := context.WithTimeout(ctx, renewLimit)
		defer cancel()
		err := t.renew(ctx, who, now)
		if err != nil {
			t.deps.Log.WarnContext(ctx, "personal tokens not renewed by a login", "login", who.Login, "provider", who.Provider, "error", err)
		}
	})
}

func (t *Tokens) renew(ctx context.Context, who *identity.Identity, at time.Time) error {
	name, err := t.ownerName(ctx, who)
	if err != nil {
		return err
	}
	now, err := said(who, at)
	if err == nil {
		err = t.amend(ctx, name, func(old *ownerRecord) *ownerRecord {
			if old == nil || old.AsOf > now.AsOf {
				return nil
			}
			next := *now
			next.Until = old.Until
			return &next
		})
	}
	if errors.Is(err, errTooLarge) {
		if _, lost := t.deps.Store.Delete(ctx, ownerKeys+name.String()); lost != nil {
			return unavailable(lost)
		}
		t.cache.invalidate(name)
	}
	return err
}
