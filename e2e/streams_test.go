package e2e

import (
	"testing"
	"time"
)

func TestR9AnEventStreamPassesEventByEvent(t *testing.T) {
	w := newWorld(t, providerOptions{})
	tb := w.signedIn(t, newBrowser(t), "alice", "/")
	script[any](tb, `
		window.seen = [];
		window.source = new EventSource("/events");
		source.onmessage = (e) => seen.push(e.data);
		await new Promise((ok, no) => { source.onopen = ok; source.onerror = () => no(new Error("no stream")); });
		return null;`)
	for _, text := range []string{"one", "two", "three"} {
		select {
		case w.app.push <- text:
		case <-time.After(patience):
			t.Fatal("the app has no stream open")
		}
		// Nothing follows until this one has arrived: a gateway that collects would hang here.
		if !eventually(func() bool {
			seen := script[[]string](tb, "return seen")
			return len(seen) > 0 && seen[len(seen)-1] == text
		}) {
			t.Fatalf("event %q did not arrive by itself", text)
		}
	}
	script[any](tb, "source.close(); return null;")
	waitEnded(t, w.app, "events")
}

func TestR9AWebSocketPassesBothWays(t *testing.T) {
	w := newWorld(t, providerOptions{})
	tb := w.signedIn(t, newBrowser(t), "alice", "/")
	echoed := script[[]string](tb, `
		const socket = new WebSocket(location.origin.replace("http", "ws") + "/websocket");
		const next = () => new Promise((ok, no) => {
			socket.onmessage = (e) => ok(e.data);
			socket.onclose = (e) => no(new Error("closed: " + e.code + " " + e.reason));
		});
		await new Promise((ok, no) => { socket.onopen = ok; socket.onerror = () => no(new Error("no socket")); });
		const seen = [];
		for (const text of ["hello", "ünï", "x".repeat(100000)]) {
			const answer = next();
			socket.send(text);
			seen.push((await answer).slice(0, 20));
		}
		socket.close();
		return seen;`)
	want := []string{"alice: hello", "alice: ünï", "alice: xxxxxxxxxxxxx"}
	for i := range want {
		if i >= len(echoed) || echoed[i] != want[i] {
			t.Fatalf("the socket echoed %q, not %q", echoed, want)
		}
	}
	waitEnded(t, w.app, "websocket")
}

// The page of another site must not open a socket with the person's cookie: browsers send
// Origin, and nobody but the server looks at it.
func TestP179AWebSocketOfAnotherSiteIsRefused(t *testing.T) {
	w := newWorld(t, providerOptions{})
	tb := w.signedIn(t, newBrowser(t), "alice", "/")
	other := newApp(t) // the same browser, another origin: 127.0.0.1 at another port
	tb.open(other.URL + "/")
	refused := script[bool](tb, `return await new Promise((done) => {
		const socket = new WebSocket("`+"ws"+w.gateway.origin[len("http"):]+`/websocket");
		socket.onopen = () => done(false);
		socket.onerror = () => done(true);
	});`)
	if !refused {
		t.Error("a page of another origin opened a socket")
	}
	for _, r := range w.app.all() {
		if r.URI == "/websocket" {
			t.Errorf("the app received %+v", r)
		}
	}
}

func waitEnded(t *testing.T, a *app, what string) {
	t.Helper()
	select {
	case got := <-a.ended:
		if got != what {
			t.Errorf("%s ended, not %s", got, what)
		}
	case <-time.After(patience):
		t.Errorf("the app was never told that the %s ended", what)
	}
}
