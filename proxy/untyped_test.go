package proxy

import (
	"net/http"
	"testing"
)

// What an upstream leaves untyped stays so: a guess of ours could make a page of a text that
// somebody else wrote.
func TestAnAnswerWithoutATypeGetsNone(t *testing.T) {
	for name, answer := range map[string]string{
		"of a known length": "HTTP/1.1 200 OK\r\nContent-Length: 32\r\n\r\n<html><script>alert(1)</script>..",
		"of an unknown one": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n20\r\n<html><script>alert(1)</script>..\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, raws(t, answer))
			a := l.send("GET", "/x", as("alice"))
			if _, typed := a.Header["Content-Type"]; a.StatusCode != http.StatusOK || len(a.body) != 32 || typed {
				t.Errorf("answer %s of %d bytes, Content-Type %q", a.Status, len(a.body), a.Header["Content-Type"])
			}
		})
	}
}
