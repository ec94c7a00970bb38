package flows

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/pages"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/telemetry"
)

const (
	purposeKept seal.Purpose = "kept-form"

	keptPath   = "/kept/"
	keptSuffix = "-kept."
	keptLife   = attemptLife // as long as the login that leads back to it
	keptCookie = 8 + seal.KeySize

	// A browser has so many kept forms at a time on one host; the oldest make room (P085).
	maxKept = 4
	// All browsers together leave so many bytes in the store within keptLife, and one address a part of them: nobody is signed in
	// who does, so nobody could be told to stop (S18).
	maxKeptBytes = 64 << 20
	maxKeptShare = 8 << 20
	keptBytes    = "flows/kept" // how many were left
)

// Kept keeps forms that browsers posted while nobody was signed in, until the login has ended. It implements proxy.Keeper.
//
// A form lies in the shared store under a random id. It is sealed twice: by a key that only its browser has, in a cookie, and by
// ours. So neither the store nor the cookie, nor both without our keys, give away what somebody typed; and whoever knows the id,
// from an address or a log, has nothing.
type Kept struct {
	f    *Flows
	used shares
}

// Kept makes one for all routes.
func (f *Flows) Kept() *Kept {
	return &Kept{f: f, used: shares{period: keptLife, most: maxKeptShare}}
}

// Keep keeps a form for the browser that r came from, and gives it a cookie. id is "" where too much is kept already.
func (k *Kept) Keep(w http.ResponseWriter, r *http.Request, form []byte) (id string, err error) {
	f := k.f
	here, ok := f.deps.Origins.Lookup(r.Host)
	if !ok {
		return "", &pages.Error{Code: codeUnknownHost}
	}
	raw, key := random(idSize), random(seal.KeySize)
	blob, err := k.seal(here, raw, key, form)
	if err != nil {
		return "", err
	}
	ctx := r.Context()
	if room, err := k.room(ctx, network(telemetry.From(w).Client), len(blob)); !room || err != nil {
		return "", err
	}
	if err := f.deps.Shared.Put(ctx, sharedKey("kept", raw), blob, keptLife); err != nil {
		return "", f.storeError(err)
	}
	k.evict(w, r, here)
	value := binary.BigEndian.AppendUint64(nil, uint64(f.deps.Now().Unix()))
	value = append(value, key...)
	id = base64.RawURLEncoding.EncodeToString(raw)
	f.setCookie(w, here, k.cookie(here, id), base64.RawURLEncoding.EncodeToString(value), keptLife)
	return id, nil
}

// room counts n bytes more, and reports whether there is room for them.
func (k *Kept) room(ctx context.Context, from netip.Prefix, n int) (bool, error) {
	f := k.f
	if !k.used.take(f.deps.Now(), from, n) {
		return false, nil
	}
	items, err := f.deps.Shared.Get(ctx, keptBytes) // asking costs no write: it is all that the next thousand requests do
	if err != nil {
		return false, f.storeError(err)
	}
	if used, err := strconv.ParseInt(string(items[0].Value), 10, 64); err == nil && used >= maxKeptBytes {
		return false, nil
	}
	used, err := f.deps.Shared.Add(ctx, keptBytes, int64(n), keptLife)
	if err != nil {
		return false, f.storeError(err)
	}
	if used > maxKeptBytes {
		f.deps.Log.WarnContext(ctx, "too many forms are waiting for a sign-in; no more are kept for some minutes", "bytes", used)
	}
	return used <= maxKeptBytes, nil
}

// Find returns a form that this browser left, nil if there is none of that id.
func (k *Kept) Find(r *http.Request, id string) ([]byte, error) {
	here, raw, key, ok := k.named(r, id)
	if !ok {
		return nil, nil
	}
	items, err := k.f.deps.Shared.Get(r.Context(), sharedKey("kept", raw))
	if err != nil {
		return nil, k.f.storeError(err)
	}
	if items[0].Version == 0 {
		return nil, nil
	}
	return k.open(here, raw, key, items[0].Value), nil
}

// Take is Find, and takes the form away: of all that try, at all replicas, one gets it. What another browser's cookie would open
// stays where it is.
func (k *Kept) Take(w http.ResponseWriter, r *http.Request, id string) ([]byte, error) {
	form, err := k.Find(r, id)
	if form == nil || err != nil {
		return nil, err
	}
	here, raw, key, _ := k.named(r, id)
	blob, ok, err := k.f.deps.Shared.Take(r.Context(), sharedKey("kept", raw))
	if err != nil {
		return nil, k.f.storeError(err)
	}
	k.f.clearCookie(w, here, k.cookie(here, id))
	if !ok {
		return nil, nil
	}
	return k.open(here, raw, key, blob), nil
}

// named reads what the browser has of a form. Two cookies of one name are none (P077).
func (k *Kept) named(r *http.Request, id string) (here origin.Origin, raw, key []byte, ok bool) {
	if here, ok = k.f.deps.Origins.Lookup(r.Host); !ok {
		return here, nil, nil, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(raw) != idSize {
		return here, nil, nil, false
	}
	cookies := r.CookiesNamed(k.cookie(here, id))
	if len(cookies) != 1 {
		return here, nil, nil, false
	}
	value := keptValue(cookies[0].Value)
	if value == nil {
		return here, nil, nil, false
	}
	return here, raw, value[8:], true
}

// keptValue is the value of a cookie: when it was set, for evict only, and the key. nil = it is none.
func keptValue(text string) []byte {
	value, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(value) != keptCookie {
		return nil
	}
	return value
}

func (k *Kept) cookie(here origin.Origin, id string) string {
	return k.f.binding.Prefixed(here, keptSuffix+id)
}

// seal writes a form so that it opens under its own id, at its own host, with its browser's key.
func (k *Kept) seal(here origin.Origin, id, key, form []byte) ([]byte, error) {
	browsers, err := seal.New(key)
	if err != nil {
		return nil, err
	}
	associated := bound(here, string(id))
	return k.f.deps.Ring.Seal(purposeKept, browsers.Seal(purposeKept, form, associated), associated), nil
}

// open returns nil for what is none of ours, or not this browser's.
func (k *Kept) open(here origin.Origin, id, key, blob []byte) []byte {
	associated := bound(here, string(id))
	inner, err := k.f.deps.Ring.Open(purposeKept, blob, associated)
	if err != nil {
		return nil
	}
	browsers, err := seal.New(key)
	if err != nil {
		return nil
	}
	form, err := browsers.Open(purposeKept, inner, associated)
	if err != nil {
		return nil
	}
	return form
}

// evict clears the oldest forms of a browser that has too many; what they opened ends by itself.
func (k *Kept) evict(w http.ResponseWriter, r *http.Request, here origin.Origin) {
	type old struct {
		name  string
		since uint64
	}
	var all []old
	for _, c := range r.Cookies() {
		if !strings.HasPrefix(c.Name, k.cookie(here, "")) {
			continue
		}
		o := old{name: c.Name} // the first to go if it cannot be read
		if value := keptValue(c.Value); value != nil {
			o.since = binary.BigEndian.Uint64(value)
		}
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b old) int { return cmp.Compare(a.since, b.since) })
	for n := 0; len(all) >= maxKept && n < maxCleared; n++ {
		k.drop(r, strings.TrimPrefix(all[0].name, k.cookie(here, "")))
		k.f.clearCookie(w, here, all[0].name)
		all = all[1:]
	}
}

// drop deletes a form that its browser is to forget. Whoever has no key to it, but has read its id somewhere, deletes nothing.
func (k *Kept) drop(r *http.Request, id string) {
	if form, _ := k.Find(r, id); form == nil {
		return
	}
	if _, raw, _, ok := k.named(r, id); ok {
		_, _ = k.f.deps.Shared.Delete(r.Context(), sharedKey("kept", raw)) // else it ends by itself
	}
}

// keptForm reports whether a path is that of the page that sends a kept form, to which a login may return.
func (f *Flows) keptForm(path string) bool {
	id, ok := strings.CutPrefix(path, f.prefix+keptPath)
	if !ok || len(id) != idLength {
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(id)
	return err == nil
}
