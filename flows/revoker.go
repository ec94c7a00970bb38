package flows

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/doorward/doorward/flows/provider"
	"github.com/doorward/doorward/internal/identity"
)

const (
	revocationWait = 10 * time.Second // for the provider, after the answer
	maxRevocations = 64               // under way at a time; more wait, within the same ten seconds
)

// Revoker takes back the tokens that nobody holds any more, at the provider that gave
// them. It works behind the answers: a provider that is slow or down must not keep anyone
// signed in (R11, P131, REF-8). It is safe for concurrent use.
type Revoker struct {
	providers map[string]*provider.Client
	log       *slog.Logger
	slots     chan struct{}

	mu    sync.Mutex // a sync.WaitGroup may not begin anew while somebody waits
	idle  *sync.Cond
	going int
}

// NewRevoker never touches the network. A nil log is none.
func NewRevoker(providers map[string]*provider.Client, log *slog.Logger) *Revoker {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	v := &Revoker{providers: providers, log: log, slots: make(chan struct{}, maxRevocations)}
	v.idle = sync.NewCond(&v.mu)
	return v
}

// Revoke returns at once. It revokes the refresh token, or the access token where there is no
// other, and does nothing for an identity of another issuer than the provider's of now.
func (v *Revoker) Revoke(ctx context.Context, who *identity.Identity) {
	client := clientOf(v.providers, who)
	if client == nil || who.Tokens == nil || who.Machine && who.Login == "" { // a token of another client is not ours to revoke (RFC 7009 §2.1)
		return
	}
	token, hint := who.Tokens.RefreshToken, "refresh_token"
	if token.IsZero() {
		token, hint = who.Tokens.AccessToken, "access_token"
	}
	if token.IsZero() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revocationWait)
	v.begin()
	go func() {
		defer v.done()
		defer cancel()
		if err := v.inTurn(ctx, func() error { return client.Revoke(ctx, token, hint) }); err != nil {
			v.log.WarnContext(ctx, "token not revoked", "provider", client.Name(), "error", err)
		}
	}()
}

func (v *Revoker) inTurn(ctx context.Context, revoke func() error) error {
	select {
	case v.slots <- struct{}{}:
		defer func() { <-v.slots }()
		return revoke()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (v *Revoker) begin() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.going++
}

func (v *Revoker) done() {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.going--; v.going == 0 {
		v.idle.Broadcast()
	}
}

// Wait returns when no revocation is under way; none takes longer than ten seconds.
func (v *Revoker) Wait() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for v.going > 0 {
		v.idle.Wait()
	}
}
