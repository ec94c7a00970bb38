package flows

import (
	"testing"
	"time"
)

// at is a moment of a test, in seconds since its beginning.
func at(seconds float64) time.Time {
	return time.UnixMilli(1_700_000_000_000).Add(time.Duration(seconds * float64(time.Second)))
}

func TestDEV3NothingIsAskedBeforeTheFirstIntervalIsOver(t *testing.T) {
	p := newPace(at(0), 5*time.Second)
	if p.due(at(4.9)) || !p.due(at(5)) || p.early(at(2)) != 3*time.Second {
		t.Errorf("%+v", p)
	}
}

func TestASlowDownAddsFiveSecondsToAllLaterPolls(t *testing.T) {
	p := newPace(at(0), 5*time.Second).slower(at(5), 0)
	if p.due(at(14.9)) || !p.due(at(15)) {
		t.Errorf("after slow_down: %+v", p)
	}
	if p = p.pending(at(15), 0); p.due(at(24.9)) || !p.due(at(25)) {
		t.Errorf("it was forgotten by the next answer: %+v", p)
	}
	if p = p.slower(at(25), 0); p.interval() != 15*time.Second {
		t.Errorf("the second adds to the first: %+v", p)
	}
	if p = p.troubled(at(40), 0).pending(at(90), 0); p.interval() != 15*time.Second {
		t.Errorf("trouble changes the interval: %+v", p)
	}
}

func TestASlowDownWithAnIntervalNeverShortensIt(t *testing.T) {
	p := newPace(at(0), 5*time.Second)
	for named, want := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Second: 10 * time.Second, 15 * time.Second: 15 * time.Second} {
		if got := p.slower(at(5), named).interval(); got != want {
			t.Errorf("slow_down with interval %v: %v, want %v", named, got, want)
		}
	}
}

func TestDEV5TroubleDoublesTheWaitUpToAMinuteAndNeverShortensIt(t *testing.T) {
	p, now := newPace(at(0), 5*time.Second), at(5)
	for i, want := range []time.Duration{10, 20, 40, 60, 60, 60} {
		p = p.troubled(now, 0)
		if wait := p.early(now); wait != want*time.Second {
			t.Errorf("failure %d: %v, want %v s", i+1, wait, want)
		}
		now = now.Add(want * time.Second)
	}
	if p = p.pending(now, 0); p.early(now) != 5*time.Second || p.Failures != 0 {
		t.Errorf("an answer ends the trouble: %+v", p)
	}
	if wait := newPace(now, 5*time.Second).troubled(now, 90*time.Second).early(now); wait != 90*time.Second {
		t.Errorf("Retry-After is obeyed: %v", wait)
	}
	if wait := newPace(now, 90*time.Second).troubled(now, 0).early(now); wait != 90*time.Second {
		t.Errorf("no shorter than the interval: %v", wait)
	}
}

func TestARequestUnderWayIsAloneUntilItCountsAsLost(t *testing.T) {
	p := newPace(at(0), 5*time.Second).asking(at(5), cibaCallTime)
	for _, now := range []float64{5, 10, 49} {
		if p.due(at(now)) {
			t.Errorf("a second request after %v s", now-5)
		}
	}
	if !p.due(at(56)) {
		t.Error("a replica that dies must not end the login")
	}
	if p = p.called(at(20)); p.due(at(20)) {
		t.Error("a ping must not put a second request beside the first")
	}
}
