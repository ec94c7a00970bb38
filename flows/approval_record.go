package flows

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/doorward/doorward/internal/approval"
	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/seal"
)

const (
	purposeApproval     seal.Purpose = "approval"
	purposeApprovalSame seal.Purpose = "approval-same"
	purposeApprovalHeld seal.Purpose = "approval-held"
	purposeApprovalOf   seal.Purpose = "approval-of"

	// askTime is how long the request that asks may take; a record of one that died in the middle counts as over then.
	askTime = cibaCallTime + leaseSlack
)

// approvalRecord is what the shared store keeps of an approval. The flags only ever go up: approved, then used;
// or denied, or over.
type approvalRecord struct {
	Login       string               `json:"l"`
	Caller      string               `json:"c"`
	Person      string               `json:"n"` // key of the person's turns
	Same        string               `json:"k"` // key under which the same request finds this
	Fingerprint approval.Fingerprint `json:"f"`
	Message     string               `json:"m"`
	Request     string               `json:"r"`
	Back        string               `json:"b,omitempty"`
	Held        bool                 `json:"h,omitempty"`
	Waiting     []byte               `json:"w,omitempty"` // nil: the provider is being asked to ask
	Asked       int64                `json:"t"`           // Unix milliseconds
	Ends        int64                `json:"e"`

	Approved bool `json:"a,omitempty"`
	Used     bool `json:"u,omitempty"`
	Denied   bool `json:"d,omitempty"`
	Over     bool `json:"o,omitempty"`

	id       []byte
	version  uint64
	interval time.Duration // as answered to whoever asks
}

func (rec *approvalRecord) asked() time.Time { return time.UnixMilli(rec.Asked) }
func (rec *approvalRecord) ends() time.Time  { return time.UnixMilli(rec.Ends) }
func (rec *approvalRecord) key() string      { return sharedKey("approval", rec.id) }

// late reports whether the approval has ended, also one that was given in the last moment.
func (rec *approvalRecord) late(now time.Time) bool {
	return !now.Before(rec.ends().Add(approvalGrace))
}

// abandoned reports whether the request that began to ask has died.
func (rec *approvalRecord) abandoned(now time.Time) bool {
	return rec.Waiting == nil && !now.Before(rec.asked().Add(askTime))
}

func (rec *approvalRecord) life(now time.Time) time.Duration {
	return max(rec.ends().Sub(now), 0) + approvalMemory
}

// answer is a record in the words of the proxy. wait is nil if nothing waits.
func (rec *approvalRecord) answer(now time.Time, status string, wait *waiting) *approval.Approval {
	interval := max(rec.interval, ownInterval)
	if wait != nil {
		interval = wait.interval(now)
	}
	return &approval.Approval{
		ID: base64.RawURLEncoding.EncodeToString(rec.id), Status: status, Fingerprint: rec.Fingerprint, Message: rec.Message, Request: rec.Request,
		Back: rec.Back, Asked: rec.asked(), ExpiresIn: max(rec.ends().Sub(now), 0), Interval: interval,
		Trouble: wait != nil && wait.Pace.Failures > 0, Held: rec.Held,
	}
}

func (a *Approver) newApproval(caller string, who *identity.Identity, q approval.Question) *approvalRecord {
	now := a.f.deps.Now()
	rec := &approvalRecord{
		Login: a.l.name, Caller: caller, Person: a.hashed("approvals", who.Issuer, who.Subject), Fingerprint: q.Fingerprint, Message: q.Message,
		Request: q.Request, Back: q.Back, Held: q.Held != nil, Asked: q.Asked.UnixMilli(), Ends: now.Add(min(q.Expires, maxWaiting)).UnixMilli(), id: random(idSize),
	}
	held := "program" // it keeps its own request, and a browser's page needs one that we keep
	if rec.Held {
		held = "browser"
	}
	rec.Same = a.hashed("approval-same", rec.Login, caller, string(q.Fingerprint[:]), q.Message, held)
	return rec
}

// hashed names something in the store by what nobody shall read there.
func (a *Approver) hashed(what string, parts ...string) string {
	h := a.f.deps.Ring.Hash(purposeApprovalOf)
	var n [8]byte
	for _, part := range append([]string{what}, parts...) {
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		_, _ = h.Write(n[:])
		_, _ = h.Write([]byte(part))
	}
	return "flows/" + what + "/" + hex.EncodeToString(h.Sum(nil)[:16])
}

// mine returns an approval of this caller, nil for everybody else.
func (a *Approver) mine(r *http.Request, who *identity.Identity, id string) (*approvalRecord, error) {
	caller, err := a.caller(r, who)
	if err != nil {
		return nil, err
	}
	rec, err := a.load(r.Context(), id)
	if rec == nil || err != nil || rec.Caller != caller {
		return nil, err
	}
	return rec, nil
}

// load returns an approval of this login, nil if there is none of that id.
func (a *Approver) load(ctx context.Context, id string) (*approvalRecord, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(id)
	if err != nil || len(raw) != idSize {
		return nil, nil
	}
	rec := &approvalRecord{id: raw}
	items, err := a.f.deps.Shared.Get(ctx, rec.key())
	if err != nil {
		return nil, a.f.storeError(err)
	}
	if items[0].Version == 0 || !a.open(purposeApproval, rec.key(), items[0].Value, rec) || rec.Login != a.l.name {
		return nil, nil
	}
	rec.id, rec.version = raw, items[0].Version
	return rec, nil
}

func (a *Approver) open(p seal.Purpose, key string, blob []byte, v any) bool {
	plain, err := a.f.deps.Ring.Open(p, blob, []byte(key))
	return err == nil && json.Unmarshal(plain, v) == nil
}

func (a *Approver) sealed(p seal.Purpose, key string, v any) ([]byte, error) {
	plain, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return a.f.deps.Ring.Seal(p, plain, []byte(key)), nil
}

// put writes a record that nobody else changes yet.
func (a *Approver) put(ctx context.Context, rec *approvalRecord) error {
	blob, err := a.sealed(purposeApproval, rec.key(), rec)
	if err != nil {
		return err
	}
	if err := a.f.deps.Shared.Put(ctx, rec.key(), blob, rec.life(a.f.deps.Now())); err != nil {
		return a.f.storeError(err)
	}
	return nil
}

// edit applies change to the record as it is now, again if somebody else was faster, and reports whether it was
// this call that changed it. change says false if there is nothing to do.
func (a *Approver) edit(ctx context.Context, rec *approvalRecord, change func(*approvalRecord) bool) (*approvalRecord, bool, error) {
	id := base64.RawURLEncoding.EncodeToString(rec.id)
	for range maxSwaps {
		next := *rec
		if !change(&next) {
			return rec, false, nil
		}
		blob, err := a.sealed(purposeApproval, rec.key(), &next)
		if err != nil {
			return rec, false, err
		}
		done, err := a.f.deps.Shared.Swap(ctx, rec.key(), rec.version, blob, rec.life(a.f.deps.Now()))
		if err != nil {
			return rec, false, a.f.storeError(err)
		}
		if done {
			return &next, true, nil
		}
		if rec, err = a.load(ctx, id); rec == nil || err != nil {
			return nil, false, err
		}
	}
	return rec, false, nil
}

// claim makes the record the one that the same request of the same caller finds, unless one waits already:
// then that is returned. A record is written before it can be found.
func (a *Approver) claim(ctx context.Context, made *approvalRecord, who *identity.Identity) (*approval.Approval, error) {
	for range maxSwaps {
		other, version, err := a.same(ctx, made, who)
		if err != nil || other != nil {
			return other, err
		}
		if err := a.put(ctx, made); err != nil {
			return nil, err
		}
		mark, err := a.sealed(purposeApprovalSame, made.Same, made.id)
		if err != nil {
			return nil, err
		}
		won, err := a.f.deps.Shared.Swap(ctx, made.Same, version, mark, made.life(a.f.deps.Now()))
		switch {
		case err != nil:
			return nil, a.f.storeError(err)
		case won:
			return nil, nil
		}
		if _, err := a.f.deps.Shared.Delete(ctx, made.key()); err != nil {
			return nil, a.f.storeError(err)
		}
	}
	return nil, a.f.storeError(errNoWaiting) // a crowd asks the same
}

// same returns the approval that waits, or can be used, for the same request of the same caller; nil if there is none.
// version is that of the mark that leads to it.
func (a *Approver) same(ctx context.Context, made *approvalRecord, who *identity.Identity) (other *approval.Approval, version uint64, err error) {
	items, err := a.f.deps.Shared.Get(ctx, made.Same)
	if err != nil {
		return nil, 0, a.f.storeError(err)
	}
	other, err = a.living(ctx, made.Same, items[0].Value, who)
	return other, items[0].Version, err
}

// living returns the approval that a mark leads to, if it can still be used.
func (a *Approver) living(ctx context.Context, key string, mark []byte, who *identity.Identity) (*approval.Approval, error) {
	var id []byte
	if len(mark) == 0 || !a.open(purposeApprovalSame, key, mark, &id) {
		return nil, nil
	}
	rec, err := a.load(ctx, base64.RawURLEncoding.EncodeToString(id))
	if rec == nil || err != nil {
		return nil, err
	}
	status, wait, err := a.status(ctx, rec, who)
	if err != nil || status != approval.Pending && status != approval.Approved {
		return nil, err
	}
	return rec.answer(a.f.deps.Now(), status, wait), nil
}

// withdraw ends an approval that could not be asked for.
func (a *Approver) withdraw(ctx context.Context, made *approvalRecord) {
	made.Over = true
	_ = a.put(ctx, made) // else it ends by itself
	a.leaveTurn(ctx, made)
	a.dropHeld(ctx, made)
}
