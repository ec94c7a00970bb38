package proxy

import (
	"bufio"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/origin"
)

func TestWhatARouteAnswersItselfIsChangedLikeAnAnswerOfAnUpstream(t *testing.T) {
	root := t.TempDir()
	for name, text := range map[string]string{"long.html": prose, "short.html": "<p>", "image.png": prose} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l := newLab(t, func(c *Config, d *Deps) {
		r := Response{Set: map[string]string{"X-Frame-Options": "DENY"}, Default: map[string]string{"Cache-Control": "max-age=60"}, Remove: []string{"X-Content-Type-Options"}, Compress: []string{"gzip"}}
		files := &Answer{Files: &Files{Root: root}}
		app := []origin.Origin{appTest}
		c.Routes = append(c.Routes,
			Route{Name: "files", Hosts: app, Path: "/files", StripPrefix: true, Logins: []string{"staff"}, Answer: files, Response: r},
			Route{Name: "open-files", Hosts: app, Path: "/open-files", StripPrefix: true, Public: true, Answer: files, Response: r},
			Route{Name: "fixed", Hosts: app, Path: "/fixed", Public: true, Answer: &Answer{Respond: &Respond{Body: prose, ContentType: "text/plain"}}, Response: r},
		)
		set := r
		set.Set, set.Default = map[string]string{"Cache-Control": "max-age=60"}, nil
		c.Routes = append(c.Routes, Route{Name: "kept-files", Hosts: app, Path: "/kept-files", StripPrefix: true, Logins: []string{"staff"}, Answer: files, Response: set})
		d.Starters["files"], d.Starters["kept-files"] = door{}, door{}
	})
	gzipped := []string{as("alice"), "Accept-Encoding: gzip"}
	for target, cache := range map[string]string{"/files/long.html": "private", "/open-files/long.html": "max-age=60", "/fixed": "max-age=60"} {
		l.both(t, "GET", target, gzipped, func(l *lab, a answer) {
			h := a.Header
			if a.StatusCode != 200 || h.Get("Content-Encoding") != "gzip" || unpacked(l, a) != prose || h.Get("X-Frame-Options") != "DENY" || h.Get("X-Content-Type-Options") != "" || !strings.HasPrefix(h.Get("Cache-Control"), cache) || h.Get("Vary") != "Accept-Encoding" || h.Get("Accept-Ranges") != "" {
				l.Errorf("%s: answer %s %v", target, a.Status, h)
			}
			l.untouched()
			tag := h.Get("Etag")
			if target == "/fixed" {
				return
			}
			if !strings.HasPrefix(tag, `W/"`) {
				l.Errorf("%s: the tag is %s", target, tag)
			}
			for _, known := range []string{tag, strings.TrimPrefix(tag, "W/")} {
				again := l.send("GET", target, append([]string{"If-None-Match: " + known}, gzipped...)...)
				if again.StatusCode != 304 || again.Header.Get("Etag") != known || again.Header.Get("Vary") != "Accept-Encoding" {
					l.Errorf("%s: answer %s %v to %s", target, again.Status, again.Header, known)
				}
			}
		})
		l.both(t, "HEAD", target, gzipped, func(l *lab, a answer) {
			if a.StatusCode != 200 || a.Header.Get("Content-Encoding") != "gzip" || a.body != "" || a.Header.Get("Content-Length") != "" {
				l.Errorf("%s: answer %s %v", target, a.Status, a.Header)
			}
		})
	}
	l.both(t, "GET", "/kept-files/image.png", []string{as("alice")}, func(l *lab, a answer) { // P154
		if a.StatusCode != 200 || a.Header.Get("Cache-Control") != "private, max-age=60" {
			l.Errorf("answer %s %v", a.Status, a.Header)
		}
	})
	for name, a := range map[string]answer{
		"short": l.send("GET", "/open-files/short.html", gzipped...), "an image": l.send("GET", "/open-files/image.png", gzipped...), "a part": l.send("GET", "/open-files/long.html", append([]string{"Range: bytes=0-3"}, gzipped...)...),
		"unasked": l.send("GET", "/open-files/long.html"),
	} {
		if a.StatusCode >= 300 || a.Header.Get("Content-Encoding") != "" || a.Header.Get("X-Frame-Options") != "DENY" || a.Header.Get("Content-Length") == "" {
			t.Errorf("%s: answer %s %v", name, a.Status, a.Header)
		}
	}
	a := l.send("GET", "/open-files/none.html", gzipped...)
	if l.refused(a, http.StatusNotFound); a.code() != codeNoRoute || a.Header.Get("Content-Encoding") != "" || a.Header.Get("X-Content-Type-Options") == "" {
		t.Errorf("a refusal of ours: %v %s", a.Header, a.body)
	}
}

func TestAFileThatIsCutWhileItIsServedDoesNotLookWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "long.txt")
	l := newLab(t, func(c *Config, _ *Deps) {
		c.Routes = append(c.Routes, Route{Name: "files", Hosts: []origin.Origin{appTest}, Path: "/files", StripPrefix: true, Public: true, Answer: &Answer{Files: &Files{Root: filepath.Dir(file)}}, Response: bothCodings})
	})
	text := make([]byte, 32<<20) // more than sockets hold, also packed
	_, _ = rand.NewChaCha8([32]byte{}).Read(text)
	for _, accept := range []string{"gzip", "zstd", "identity"} {
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(l.write(request("GET", "/files/long.txt", "Accept-Encoding: "+accept))), nil)
		if err != nil || res.StatusCode != 200 || (res.Header.Get("Content-Encoding") != "") != (accept != "identity") {
			t.Fatalf("answer %v, %v", res, err)
		}
		if err := os.Truncate(file, 1000); err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err == nil || n >= 32<<20 {
			t.Errorf("%s: %d bytes look whole", accept, n)
		}
	}
	pollUntil(t, "encoders are not given back", func() bool { return l.g.lentEncoders(t, "/files/x") == 0 })
}
