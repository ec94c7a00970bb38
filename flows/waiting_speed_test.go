package flows

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"
)

// manyWaiting makes n waiting logins of one kind, as a browser's POST would, and returns what one costs: bytes of
// memory beyond the provider's own codes, and goroutines.
func manyWaiting(t testing.TB, w *world, login string, n int) (bytes float64, goroutines int) {
	t.Helper()
	l := w.flows.byName[login]
	measure := func() (uint64, int) {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, runtime.NumGoroutine()
	}
	codes := 0
	heap, going := measure()
	for i := range n {
		id := random(idSize)
		ask := cibaAsk{id: id, holder: "a cookie", message: "W4SCT", client: "203.0.113.7", shown: fmt.Sprint("person-", i), place: w.flows.placeKeyFor(l, i)}
		var wait *waiting
		if l.device != nil {
			wait = newWaiting(time.Now(), id, l, ask.holder, 10*time.Minute, 5*time.Second)
			wait.UserCode, wait.URI, wait.Client = "WDJB-MJHT", corp+"/device", ask.client
			wait.CompleteURI = wait.URI + "?user_code=" + wait.UserCode
			wait.Verifier = strings.Repeat("v", 43)
			codes += len(wait.UserCode) + len(wait.URI) + len(wait.CompleteURI)
		} else {
			wait = w.flows.cibaWaiting(l, ask, 2*time.Minute, 5*time.Second)
			wait.Bearer = digest("token")
		}
		wait.Handle = fmt.Sprintf("%043d", i)
		codes += len(wait.Handle)
		if err := w.flows.store(t.Context(), wait); err != nil {
			t.Fatal(err)
		}
		if l.ciba == nil {
			continue
		}
		if _, _, err := w.flows.takePlace(t.Context(), wait.Place, id); err != nil {
			t.Fatal(err)
		}
		if err := w.flows.expectNotification(t.Context(), wait); err != nil {
			t.Fatal(err)
		}
	}
	after, still := measure()
	runtime.KeepAlive(w)
	return (float64(after) - float64(heap) - float64(codes)) / float64(n), still - going
}

func (f *Flows) placeKeyFor(l *login, i int) string {
	if l.ciba == nil {
		return ""
	}
	return f.placeKey(l, fmt.Sprint("person-", i))
}

func waitingWorld(t testing.TB) *world {
	w := newWorld(t, func(p *plan) {
		withDevice()(p)
		p.flows = func(c *Config) {
			c.Logins = append(c.Logins,
				Login{Name: "tv", Flow: "device", Provider: "corp"}, Login{Name: "phone", Flow: "ciba", Provider: "corp", Delivery: "ping"})
		}
	})
	w.flows.deps.Log = slog.New(slog.DiscardHandler)
	return w
}

func TestAWaitingLoginCostsNoGoroutineAndLessThanTwoKilobytes(t *testing.T) {
	for _, login := range []string{"tv", "phone"} {
		w := waitingWorld(t)
		bytes, goroutines := manyWaiting(t, w, login, 5000)
		t.Logf("%s: %.0f bytes and %d goroutines for each", login, bytes, goroutines)
		if bytes > 2048 || goroutines > 3 {
			t.Errorf("%s: %.0f bytes for each, %d goroutines for all", login, bytes, goroutines)
		}
	}
}

// BenchmarkWaitingLogins shows what a waiting login costs while it waits (B/waiting, goroutines for ten
// thousand of them), and what a poll costs that comes before its time.
func BenchmarkWaitingLogins(b *testing.B) {
	for _, login := range []string{"tv", "phone"} {
		b.Run(login, func(b *testing.B) {
			w := waitingWorld(b)
			bytes, goroutines := manyWaiting(b, w, login, 10_000)
			id := random(idSize)
			wait := newWaiting(time.Now(), id, w.flows.byName[login], "x", 10*time.Minute, time.Minute)
			wait.Handle = "handle"
			if err := w.flows.store(b.Context(), wait); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if got, err := w.flows.step(b.Context(), id); err != nil || got.Status != waitPending {
					b.Fatal(got, err)
				}
			}
			b.ReportMetric(bytes, "B/waiting")
			b.ReportMetric(float64(goroutines), "goroutines/10k")
		})
	}
}
