package personal

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
)

// listed opens an entry of a list.
func (t *Tokens) listed(key string, blob []byte) (*listedRecord, bool) {
	plain, err := t.deps.Ring.Open(purposeListed, blob, []byte(key))
	if err != nil {
		return nil, false
	}
	rec, ok := decode[listedRecord](plain)
	if !ok {
		return nil, false
	}
	rec.id, ok = parseDigest(strings.TrimPrefix(key, listedKeys))
	return rec, ok
}

func (r *listedRecord) of(who *identity.Identity) bool {
	return r.Issuer == who.Issuer && r.Subject == who.Subject
}

// within reports whether a token counts at one of these hosts.
func (r *listedRecord) within(reach []origin.Origin) bool {
	return slices.ContainsFunc(origins(r.Hosts), func(o origin.Origin) bool { return slices.Contains(reach, o) })
}

// indexOf names somebody's list.
func (t *Tokens) indexOf(ctx context.Context, who *identity.Identity) (string, error) {
	name, err := t.names.of(ctx, "list", who.Issuer, who.Subject)
	return "personal/of/" + name.String(), err
}

// list returns all of somebody's tokens, the newest first, wherever they count.
func (t *Tokens) list(ctx context.Context, index string, who *identity.Identity) ([]*listedRecord, error) {
	keys, err := t.deps.Store.List(ctx, index, "", 2*maxTokens)
	if err != nil {
		return nil, unavailable(err)
	}
	if len(keys) == 0 {
		return nil, nil
	}
	items, err := t.deps.Store.Get(ctx, keys...)
	if err != nil {
		return nil, unavailable(err)
	}
	var all []*listedRecord
	for i, item := range items {
		rec, ok := t.listed(keys[i], item.Value)
		if !ok || !rec.of(who) {
			continue
		}
		rec.Ends = min(rec.Ends, rec.Created+t.longest.Milliseconds())
		if rec.Ends > t.deps.Now().UnixMilli() {
			all = append(all, rec)
		}
	}
	slices.SortFunc(all, func(a, b *listedRecord) int {
		return cmp.Or(cmp.Compare(b.Created, a.Created), slices.Compare(a.id[:], b.id[:]))
	})
	return all, nil
}

// reach are the hosts at which the session of a request counts: this one, and with a cookie for a domain the others there. The
// one who knows is the keeper of sessions.
func (t *Tokens) reach(here origin.Origin, at func(origin.Origin) (bool, error)) ([]origin.Origin, error) {
	all := []origin.Origin{here}
	for _, o := range t.deps.Origins.All() {
		if o == here {
			continue
		}
		ok, err := at(o)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, o)
		}
	}
	return all, nil
}
