package personal

import (
	"bytes"
	"context"
	"time"

	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/sessions/store"
)

// keyID is where a blob says which key of the ring sealed it (package seal).
func keyID(blob []byte) []byte {
	if len(blob) < 5 {
		return nil
	}
	return blob[1:5]
}

// resealed are the records of a token, each with what it was sealed for.
type resealed struct {
	key     string
	purpose seal.Purpose
	ends    int64
}

// reseal moves the records of a token that is in use to the first key of the ring. Tokens live longer than keys are kept: without
// it, whoever takes the old key away ends those that were made under it. The layer that only the token opens is inside, and stays.
func (t *Tokens) reseal(id digest, rec *tokenRecord, owner digest, o *ownerRecord) {
	t.spawn(func() {
		ctx, cancel := context.WithTimeout(context.Background(), renewLimit)
		defer cancel()
		for _, r := range []resealed{
			{listedKeys + id.String(), purposeListed, rec.Ends},
			{ownerKeys + owner.String(), purposeOwner, o.Until},
			{tokenKeys + id.String(), purposeToken, rec.Ends},
		} {
			if err := t.resealOne(ctx, r); err != nil {
				t.deps.Log.WarnContext(ctx, "a personal token stays sealed with an old key", "token", id.String(), "error", err)
				return
			}
		}
	})
}

func (t *Tokens) resealOne(ctx context.Context, r resealed) error {
	items, err := t.deps.Store.Get(ctx, r.key)
	if err != nil {
		return unavailable(err)
	}
	life := time.UnixMilli(r.ends).Sub(t.deps.Now())
	if !t.old(items[0]) || life <= 0 {
		return nil
	}
	plain, err := t.deps.Ring.Open(r.purpose, items[0].Value, []byte(r.key))
	if err != nil {
		return nil //nolint:nilerr // it is not what it was
	}
	// Who was overtaken by another write has nothing left to do: that one sealed with the first key.
	_, err = t.deps.Store.Swap(ctx, r.key, items[0].Version, t.deps.Ring.Seal(r.purpose, plain, []byte(r.key)), life)
	if err != nil {
		return unavailable(err)
	}
	return nil
}

// old reports whether a record was sealed with another key than the first one.
func (t *Tokens) old(item store.Item) bool {
	return item.Version != 0 && !bytes.Equal(keyID(item.Value), t.firstKey)
}
