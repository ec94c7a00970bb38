package flows

import (
	"context"
	"slices"

	"github.com/doorward/doorward/internal/pages"
)

// turn is one question to a person that is not answered yet. It belongs to the request and not to a record: the
// same request, sent many times at once, is one question before anybody knows which of them will ask it.
type turn struct {
	Same string `json:"k"`
	Ends int64  `json:"e"`
}

// takeTurn counts a question to a person. The list is bounded by compare-and-swap, so that
// many requests at once don't slip past it.
func (a *Approver) takeTurn(ctx context.Context, made *approvalRecord) error {
	for range maxSwaps {
		turns, version, err := a.loadTurns(ctx, made.Person)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(turns, func(t turn) bool { return t.Same == made.Same }) {
			return nil
		}
		if len(turns) >= maxApprovals {
			first := slices.MinFunc(turns, func(x, y turn) int { return int(x.Ends - y.Ends) })
			return &pages.Error{
				Code: codeTooMany, RetryAfter: max(milliseconds(first.Ends-a.f.deps.Now().UnixMilli()), retryAfter),
				Detail: "Several requests of yours wait for your approval already. Answer those first.",
			}
		}
		done, err := a.swapTurns(ctx, made, version, append(turns, turn{made.Same, made.Ends}))
		if err != nil {
			return err
		}
		if !done {
			continue
		}
		if err := a.f.countStart(ctx, "approvals-of", made.Person, approvalsInAWindow); err != nil {
			a.leaveTurn(ctx, made)
			return err
		}
		return nil
	}
	return &pages.Error{Code: codeTooMany, RetryAfter: retryAfter}
}

// leaveTurn takes a question off the list. Where that fails it ends by itself.
func (a *Approver) leaveTurn(ctx context.Context, rec *approvalRecord) {
	ctx = context.WithoutCancel(ctx)
	for range maxSwaps {
		turns, version, err := a.loadTurns(ctx, rec.Person)
		if err != nil || version == 0 {
			return
		}
		rest := slices.DeleteFunc(turns, func(t turn) bool { return t.Same == rec.Same })
		if done, err := a.swapTurns(ctx, rec, version, rest); err != nil || done {
			return
		}
	}
}

func (a *Approver) loadTurns(ctx context.Context, key string) (turns []turn, version uint64, err error) {
	items, err := a.f.deps.Shared.Get(ctx, key)
	if err != nil {
		return nil, 0, a.f.storeError(err)
	}
	if items[0].Version != 0 && !a.open(purposeApprovalOf, key, items[0].Value, &turns) {
		turns = nil // of other keys
	}
	now := a.f.deps.Now().UnixMilli()
	return slices.DeleteFunc(turns, func(t turn) bool { return t.Ends <= now }), items[0].Version, nil
}

func (a *Approver) swapTurns(ctx context.Context, rec *approvalRecord, version uint64, turns []turn) (bool, error) {
	blob, err := a.sealed(purposeApprovalOf, rec.Person, turns)
	if err != nil {
		return false, err
	}
	done, err := a.f.deps.Shared.Swap(ctx, rec.Person, version, blob, maxWaiting+waitingGrace)
	if err != nil {
		return false, a.f.storeError(err)
	}
	return done, nil
}

// keepHeld keeps the request of a browser, sealed, under a key of its own: it may be large.
func (a *Approver) keepHeld(ctx context.Context, rec *approvalRecord, held []byte) error {
	if held == nil {
		return nil
	}
	key := sharedKey("approval-held", rec.id)
	life := rec.ends().Sub(a.f.deps.Now()) + approvalGrace + waitingGrace
	if err := a.f.deps.Shared.Put(ctx, key, a.f.deps.Ring.Seal(purposeApprovalHeld, held, []byte(key)), life); err != nil {
		return a.f.storeError(err)
	}
	return nil
}

func (a *Approver) loadHeld(ctx context.Context, rec *approvalRecord) ([]byte, error) {
	key := sharedKey("approval-held", rec.id)
	items, err := a.f.deps.Shared.Get(ctx, key)
	if err != nil {
		return nil, a.f.storeError(err)
	}
	held, err := a.f.deps.Ring.Open(purposeApprovalHeld, items[0].Value, []byte(key))
	if err != nil {
		return nil, nil
	}
	return held, nil
}

// dropHeld forgets it, once it was sent or never will be.
func (a *Approver) dropHeld(ctx context.Context, rec *approvalRecord) {
	if rec.Held {
		_, _ = a.f.deps.Shared.Delete(ctx, sharedKey("approval-held", rec.id)) // else it ends by itself
	}
}
