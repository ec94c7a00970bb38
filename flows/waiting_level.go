package flows

import (
	"context"
	"time"
)

// levelTime is how long an answer takes at least that a question to the provider may have gone before, or
// not: whether somebody is known there must not show in the time (P167).
const levelTime = 150 * time.Millisecond

func level(ctx context.Context, passed time.Duration) {
	if passed < levelTime {
		pause(ctx, levelTime-passed)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
