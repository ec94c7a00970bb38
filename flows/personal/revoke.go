package personal

import "context"

// forget removes a token: from now on no replica accepts it.
func (t *Tokens) forget(ctx context.Context, id digest) {
	if _, err := t.delete(ctx, id); err != nil {
		t.deps.Log.WarnContext(ctx, "a personal token that could not be made is not removed from its list", "token", id.String(), "error", err)
	}
}

func (t *Tokens) delete(ctx context.Context, id digest) (int, error) {
	n, err := t.deps.Store.Delete(ctx, tokenKeys+id.String(), listedKeys+id.String())
	t.cache.invalidate(id)
	if err != nil {
		return 0, unavailable(err)
	}
	return n, nil
}

// revoke ends a token of somebody, and reports whether there was one. Somebody else's is none.
func (t *Tokens) revoke(ctx context.Context, p *person, id digest) (bool, error) {
	key := listedKeys + id.String()
	item, err := t.get(ctx, key)
	if item.Version == 0 || err != nil {
		return false, err
	}
	rec, ok := t.listed(key, item.Value)
	if !ok || !rec.of(p.who) || !rec.within(p.reach) {
		return false, nil
	}
	n, err := t.delete(ctx, id)
	return n > 0, err
}
