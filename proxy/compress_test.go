package proxy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// unpacked is what a browser makes of an answer.
func unpacked(t testing.TB, a answer) string {
	t.Helper()
	var r io.Reader = strings.NewReader(a.body)
	var err error
	switch a.Header.Get("Content-Encoding") {
	case "gzip":
		r, err = gzip.NewReader(r)
	case "zstd":
		r, err = zstd.NewReader(r, zstd.WithDecoderMaxWindow(8<<20))
	}
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("after %d bytes: %v", len(text), err)
	}
	return string(text)
}

var prose = strings.Repeat("A text that says the same again and again becomes short. ", 200)

// typed answers with prose of a media type, and with more headers.
func typed(contentType string, lines ...string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", fmt.Sprint(len(prose)))
		for _, line := range lines {
			name, value, _ := strings.Cut(line, ": ")
			w.Header().Set(name, value)
		}
		_, _ = io.WriteString(w, prose)
	}
}

var bothCodings = Response{Compress: []string{"zstd", "gzip"}}

// ofTheSite are the headers of a browser that is on the site itself.
var ofTheSite = []string{"Sec-Fetch-Site: same-origin", "Accept-Encoding: gzip, deflate, br, zstd"}

func TestTextsOfPublicRoutesAreCompressed(t *testing.T) {
	l := newLab(t, responding(bothCodings))
	for accept, want := range map[string]string{
		"gzip, deflate, br, zstd": "zstd", "gzip": "gzip", "x-gzip;q=0.5": "gzip", "zstd;q=0.5, gzip": "gzip", "*": "zstd", "identity": "", "": "", "br": "",
		"gzip;q=0": "", "*;q=0, gzip": "gzip", "identity;q=0": "", "identity, gzip;q=0.5": "", "zstd;q=0, *": "gzip",
	} {
		l.e.answers(typed("text/html; charset=utf-8", `Etag: "v1"`, "Accept-Ranges: bytes", "Vary: Origin"))
		l.both(t, "GET", "/public/x?q=1", []string{"Accept-Encoding: " + accept}, func(l *lab, a answer) {
			l.passed(a)
			h := a.Header
			if h.Get("Content-Encoding") != want || unpacked(l, a) != prose {
				l.Errorf("%q: answer %v of %d bytes", accept, h, len(a.body))
			}
			if got := strings.Join(h["Vary"], ", "); got != "Origin, Accept-Encoding" {
				l.Errorf("%q: Vary %q", accept, got)
			}
			if packed := want != ""; packed != (h.Get("Etag") == `W/"v1"`) || packed != (h.Get("Accept-Ranges") == "") || packed == (h.Get("Content-Length") == fmt.Sprint(len(prose))) || packed != (len(a.body) < len(prose)/4) {
				l.Errorf("%q: answer %v of %d bytes", accept, h, len(a.body))
			}
		})
	}
}

func TestTheHeaderOfAHEADIsThatOfAGET(t *testing.T) {
	l := newLab(t, responding(bothCodings))
	l.e.answers(typed("text/html", `Etag: "v1"`))
	var of [2]http.Header
	for i, method := range []string{"GET", "HEAD"} {
		l.both(t, method, "/public/x", []string{"Accept-Encoding: gzip"}, func(l *lab, a answer) {
			l.passed(a)
			if method == "HEAD" && a.body != "" {
				l.Errorf("a body of %d bytes", len(a.body))
			}
			if method == "HEAD" && a.Header.Get("Content-Length") != "" {
				l.Errorf("it is said to have %s bytes", a.Header.Get("Content-Length"))
			}
			of[i] = a.Header
		})
	}
	for _, name := range []string{"Content-Encoding", "Etag", "Vary", "Content-Type"} {
		if !slices.Equal(of[0][name], of[1][name]) {
			t.Errorf("%s: %q for GET, %q for HEAD", name, of[0][name], of[1][name])
		}
	}
}

func TestNothingIsCompressedWhereASecretCouldBeGuessedByTheLength(t *testing.T) {
	l := newLab(t, responding(bothCodings))
	fromElsewhere := []string{"Sec-Fetch-Site: cross-site", "Accept-Encoding: gzip"}
	neighbour := []string{"Sec-Fetch-Site: same-site", "Accept-Encoding: gzip"}
	unknown := []string{"Accept-Encoding: gzip"}
	for _, c := range []struct {
		name        string
		target      string
		lines       []string
		contentType string
		cache       string
		packed      bool
	}{
		{"a script of the site", "/x.js", ofTheSite, "text/javascript", "", true},
		{"a script that somebody opened", "/x.js", []string{"Sec-Fetch-Site: none", "Accept-Encoding: gzip"}, "text/javascript", "", true},
		{"a style sheet", "/x.css", ofTheSite, "text/css; charset=utf-8", "no-cache", true},
		{"an image", "/x.svg", ofTheSite, "image/svg+xml", "", true},
		{"a font", "/x.ttf", ofTheSite, "font/ttf", "", true},
		{"a script that another site asks for", "/x.js", fromElsewhere, "text/javascript", "", false},
		{"a script that another site asks for, called public", "/x.js", fromElsewhere, "text/javascript", "public", false},
		{"a script that a neighbour asks for", "/x.js", neighbour, "text/javascript", "", false},
		{"a script, and nobody says who asks", "/x.js", unknown, "text/javascript", "", false},
		{"two answers to who asks", "/x.js", []string{"Sec-Fetch-Site: none", "Sec-Fetch-Site: none", "Accept-Encoding: gzip"}, "text/javascript", "", false},
		{"JSONP", "/x.js?callback=guess", ofTheSite, "text/javascript", "max-age=60", false},
		{"an empty query", "/x.js?", ofTheSite, "text/javascript", "", false},
		{"a version in the query, called public", "/x.js?v=12", ofTheSite, "text/javascript", "Public, max-age=60", true},
		{"a page", "/x", ofTheSite, "text/html", "", false},
		{"a page called public", "/x", ofTheSite, "text/html", "public", false},
		{"data", "/x", ofTheSite, "application/json", "", false},
		{"data called public", "/x?q=1", ofTheSite, "application/problem+json", "public, max-age=60", true},
		{"text", "/x.txt", ofTheSite, "text/plain", "", false},
		{"a public page", "/public/x?q=1", fromElsewhere, "text/html", "", true},
		{"a public page of an application that knows who asks", "/public/x", append([]string{"Cookie: app=1"}, ofTheSite...), "text/html", "", false},
		{"its style sheet", "/public/x.css", append([]string{"Cookie: app=1"}, ofTheSite...), "text/css", "", true},
		{"its style sheet, for another site", "/public/x.css", append([]string{"Cookie: app=1"}, fromElsewhere...), "text/css", "", false},
		{"a public page that the session's cookie doesn't reach", "/public/x", append([]string{as("alice")}, ofTheSite...), "text/html", "", true},
		{"a page with Authorization", "/pass/x", append([]string{"Authorization: Basic YTpi"}, ofTheSite...), "text/html", "", false},
		{"a page without it", "/pass/x", ofTheSite, "text/html", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			lines := []string{"Content-Type: " + c.contentType}
			if c.cache != "" {
				lines = append(lines, "Cache-Control: "+c.cache)
			}
			l.e.answers(typed(c.contentType, lines...))
			if !strings.HasPrefix(c.target, "/p") {
				c.lines = append([]string{as("alice")}, c.lines...)
			}
			l.both(t, "GET", c.target, c.lines, func(l *lab, a answer) {
				l.passed(a)
				if got := a.Header.Get("Content-Encoding") != ""; got != c.packed || unpacked(l, a) != prose {
					l.Errorf("answer %v", a.Header)
				}
				if a.Header.Get("Vary") != "Accept-Encoding" {
					l.Errorf("Vary: %q", a.Header["Vary"])
				}
			})
		})
	}
}

// What goes upstream in Doorward's own name on a public route is the same for everybody.
func TestACredentialOfDoorwardsOwnMakesNoAnswerPersonal(t *testing.T) {
	l := newLab(t, func(c *Config, d *Deps) {
		responding(bothCodings)(c, d)
		d.Sources = map[string]Source{"service": newVault(theToken)}
		c.route("public").Credential = "service"
	})
	l.e.answers(typed("text/html"))
	l.both(t, "GET", "/public/x", ofTheSite, func(l *lab, a answer) {
		if got := l.passed(a); got.Header.Get("Authorization") == "" || a.Header.Get("Content-Encoding") != "zstd" {
			l.Errorf("E received %v, answer %v", got.Header, a.Header)
		}
	})
	l.both(t, "GET", "/public/x", append([]string{"Cookie: app=1"}, ofTheSite...), func(l *lab, a answer) {
		if l.passed(a); a.Header.Get("Content-Encoding") != "" {
			l.Errorf("an application that knows who asks: %v", a.Header)
		}
	})
}

func TestATokenInAHeaderIsNoBrowsersOwn(t *testing.T) {
	for c, ambient := range map[claim]bool{noClaim: true, password: true, bearerCookie: true, bearerToken: false, bearerTicket: false, apiKey: false} {
		a := judged{req: &CanonicalRequest{in: &http.Request{Header: http.Header{}}}, personal: true, ambient: c.ambient()}
		if a.safe(asset) == ambient || a.safe(page) || a.safe(data) {
			t.Errorf("%v: an asset is safe: %v", c, a.safe(asset))
		}
	}
}

func TestAnswersThatMustStayAsTheyAreDo(t *testing.T) {
	l := newLab(t, responding(bothCodings))
	for _, line := range []string{
		"Content-Encoding: br", "Content-Encoding: identity", "Content-Range: bytes 0-1/2", "Cache-Control: public, no-transform", "Set-Cookie: a=b", "Content-Digest: sha-256=:AA:", "Digest: sha-256=AA",
		"Content-Type: image/png", "Content-Type: text/event-stream", "Content-Type: application/grpc", "Content-Type: application/octet-stream", "Content-Type: font/woff2", "Content-Type: multipart/mixed", "Content-Type: text",
	} {
		l.e.answers(typed("text/html", line, `Etag: "v1"`))
		l.both(t, "GET", "/public/x", ofTheSite, func(l *lab, a answer) {
			l.passed(a)
			if a.body != prose || a.Header.Get("Etag") != `"v1"` || !strings.Contains(line, "Content-Encoding") && a.Header.Get("Content-Encoding") != "" {
				l.Errorf("%s: answer %v", line, a.Header)
			}
		})
	}
	for name, h := range map[string]http.HandlerFunc{
		"short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, prose[:leastCompressed-1])
		},
		"with a digest behind it": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Trailer", "Content-Digest")
			_, _ = io.WriteString(w, prose)
			w.Header().Set("Content-Digest", "sha-256=:AA:")
		},
		"an error": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, prose, 404) },
		"untyped": func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			_, _ = io.WriteString(w, prose)
		},
	} {
		l.e.answers(h)
		l.both(t, "GET", "/public/x", ofTheSite, func(l *lab, a answer) {
			if a.Header.Get("Content-Encoding") != "" || strings.TrimSpace(a.body) == "" {
				l.Errorf("%s: answer %v", name, a.Header)
			}
		})
	}
	t.Run("a tag that is none", func(t *testing.T) {
		l := l.on(t)
		l.e.answers(typed("text/html", "Etag: v1"))
		if a := l.send("GET", "/public/x", ofTheSite...); a.Header.Get("Content-Encoding") == "" || a.Header["Etag"] != nil {
			t.Errorf("answer %v", a.Header)
		}
	})
	t.Run("to a POST", func(t *testing.T) {
		l := l.on(t)
		l.e.answers(typed("text/html"))
		if a := l.send("POST", "/public/x", append([]string{"Content-Length: 0"}, ofTheSite...)...); a.body != prose {
			t.Errorf("answer %v", a.Header)
		}
	})
	t.Run("with a renewed session", func(t *testing.T) {
		l := l.on(t)
		l.e.answers(typed("text/css"))
		if a := l.send("GET", "/x", append([]string{as("renewed")}, ofTheSite...)...); a.body != prose || a.Header.Get("Vary") == "" {
			t.Errorf("answer %v", a.Header)
		}
	})
}

func TestP061NothingIsUnpackedAlsoWhereAnswersAreCompressed(t *testing.T) {
	l := newLab(t, responding(bothCodings))
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, _ = w.Write(make([]byte, 8<<20))
	_ = w.Close()
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(bomb.Bytes())
	})
	for _, accept := range []string{"identity", "zstd", "gzip"} {
		l.both(t, "GET", "/public/x", []string{"Accept-Encoding: " + accept}, func(l *lab, a answer) {
			if l.passed(a); a.body != bomb.String() || a.Header.Get("Content-Encoding") != "gzip" {
				l.Errorf("%s: %d bytes, %v", accept, len(a.body), a.Header)
			}
		})
	}
}

func TestASlowAnswerIsNotHeldBackByItsCompression(t *testing.T) {
	for _, coding := range []string{"gzip", "zstd"} {
		t.Run(coding, func(t *testing.T) {
			l := newLab(t, responding(bothCodings))
			next := make(chan string)
			l.e.answers(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				w.WriteHeader(http.StatusOK)
				for rc := http.NewResponseController(w); rc.Flush() == nil; {
					select {
					case s, more := <-next:
						if !more {
							return
						}
						_, _ = io.WriteString(w, s)
					case <-r.Context().Done():
						return
					}
				}
			})
			res, err := http.ReadResponse(bufio.NewReader(l.write(request("GET", "/public/x", "Accept-Encoding: "+coding, "Connection: keep-alive"))), nil)
			if err != nil || res.Header.Get("Content-Encoding") != coding {
				t.Fatalf("answer %v, %v", res, err) // arrives although nothing was sent
			}
			var r io.Reader
			begun := make(chan error, 1)
			go func() { // it reads the beginning of the first event
				if coding == "gzip" {
					r, err = gzip.NewReader(res.Body)
				} else {
					r, err = zstd.NewReader(res.Body, zstd.WithDecoderConcurrency(1))
				}
				begun <- err
			}()
			for i := range 3 {
				line := fmt.Sprintf("line %d\n", i)
				next <- line
				if i == 0 {
					if err := <-begun; err != nil {
						t.Fatal(err)
					}
				}
				got := make([]byte, len(line))
				if _, err := io.ReadFull(r, got); err != nil || string(got) != line {
					t.Fatalf("read %q, %v", got, err)
				}
			}
			close(next)
			if rest, err := io.ReadAll(r); err != nil || len(rest) != 0 {
				t.Errorf("at the end %q, %v", rest, err)
			}
		})
	}
}

func TestAnAnswerThatBreaksOffDoesNotLookWhole(t *testing.T) {
	l := newLab(t, responding(bothCodings))
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, prose)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	l.both(t, "GET", "/public/x", []string{"Accept-Encoding: gzip"}, func(l *lab, a answer) {
		if text, err := gzip.NewReader(strings.NewReader(a.body)); err == nil && a.ProtoMajor == 1 {
			if _, err = io.ReadAll(text); err == nil {
				l.Error("what is packed looks whole")
			}
		}
		if a.ProtoMajor == 1 && !a.cut || a.ProtoMajor == 2 && !strings.HasPrefix(a.Status, "none: ") {
			l.Errorf("answer %s looks whole", a.Status)
		}
	})
	lent := func() int64 { return l.g.lentEncoders(t, "/public/x") }
	pollUntil(t, "encoders are not given back", func() bool { return lent() == 0 })

	// Who leaves gives it back, too.
	l.e.answers(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, prose)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c := l.write(request("GET", "/public/x", "Accept-Encoding: gzip", "Connection: keep-alive"))
	pollUntil(t, "nothing is compressed", func() bool { return lent() == 1 })
	_ = c.Close()
	pollUntil(t, "encoders are not given back", func() bool { return lent() == 0 })
}

// lentEncoders is how many are at work.
func (g *Gateway) lentEncoders(t testing.TB, path string) int64 {
	t.Helper()
	rt, err := g.routes.Find(&nowhere{http.Header{}}, &CanonicalRequest{Method: "GET", Origin: appTest, decoded: path, in: typical()})
	if err != nil {
		t.Fatal(err)
	}
	return rt.response.compressor.encoders.lent.Load() // all routes have the same
}

func TestBeyondTheBoundAnswersGoOutAsTheyAre(t *testing.T) {
	e := newEncoders()
	var w bytes.Buffer
	var lent []encoder
	for range mostEncoders {
		lent = append(lent, e.take(gzipCoding, &w))
	}
	if e.take(gzipCoding, &w) != nil || e.take(zstdCoding, &w) != nil {
		t.Error("there is no bound")
	}
	for _, one := range lent {
		e.give(gzipCoding, one)
	}
	if one := e.take(zstdCoding, &w); one == nil || e.lent.Load() != 1 {
		t.Errorf("%d are lent", e.lent.Load())
	}
}

func TestTenThousandTextsNeedNoMoreMemoryThanOne(t *testing.T) {
	for _, c := range []coding{gzipCoding, zstdCoding} {
		e := newEncoders()
		once := func() {
			one := e.take(c, io.Discard)
			_, _ = io.WriteString(one, prose)
			_ = one.Flush()
			_ = one.Close()
			e.give(c, one)
		}
		once()
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 200 {
			once()
		}
		runtime.ReadMemStats(&after)
		if each := (after.TotalAlloc - before.TotalAlloc) / 200; each > 512<<10 { // a new encoder each time would be more; under the race detector a pool drops every fourth
			t.Errorf("%s: %d bytes for each answer", c, each)
		}
		zeros := make([]byte, 1<<20)
		runtime.ReadMemStats(&before)
		one := newEncoder(c)
		one.Reset(io.Discard)
		_, _ = one.Write(zeros)
		runtime.ReadMemStats(&after)
		each := after.TotalAlloc - before.TotalAlloc
		t.Logf("%s: an encoder has %d KiB", c, each>>10)
		if each > 1<<20 {
			t.Errorf("%s: an encoder has %d bytes", c, each)
		}
		_ = one.Close()
	}
}

func TestA304SpeaksOfWhatTheClientHasKept(t *testing.T) {
	l := newLab(t, responding(bothCodings))
	l.e.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Etag", `"v1"`)
		w.WriteHeader(http.StatusNotModified)
	})
	for known, want := range map[string]string{`W/"v1"`: `W/"v1"`, `"v1"`: `"v1"`, `"v0", W/"v1"`: `W/"v1"`, `W/"v2"`: `"v1"`} {
		l.both(t, "GET", "/public/x", append([]string{"If-None-Match: " + known}, ofTheSite...), func(l *lab, a answer) {
			if a.StatusCode != 304 || a.Header.Get("Etag") != want {
				l.Errorf("%s: answer %s %v", known, a.Status, a.Header)
			}
		})
	}
}

func TestWeightsAreReadAsTheStandardWritesThem(t *testing.T) {
	for parameters, want := range map[string]int{
		"": 1000, " ": 1000, "q=1": 1000, "q=1.000": 1000, " Q=0.5": 500, "q=0.": 0, "q=0.123": 123, "q=0.01": 10, "q=0": 0, "q=0.000": 0,
		"q=1.001": 0, "q=2": 0, "q=0.1234": 0, "q=-1": 0, "q=": 0, "q": 0, "q =1": 0, "level=3": 0, "q=.5": 0, "q=0,5": 0, "q=1;q=0": 0, "q=1e1": 0, "q=٥": 0,
	} {
		if got := weight(parameters); got != want {
			t.Errorf("%q weighs %d, not %d", parameters, got, want)
		}
	}
	lines := []string{"br, gzip;q=0.8", "zstd;q=0.9, *;q=0.1"}
	if got := accepted(lines, []coding{gzipCoding, zstdCoding}); got != zstdCoding {
		t.Errorf("%s is chosen", got)
	}
	if got := accepted([]string{"gzip, gzip;q=0"}, []coding{gzipCoding}); got != noCoding {
		t.Error("who says two things is taken at the greater")
	}
	if n := testing.AllocsPerRun(100, func() { accepted(lines, []coding{gzipCoding, zstdCoding}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	for _, s := range []string{"gzip, deflate, br, zstd", "*;q=0", "identity;q=0, gzip;q=0.001", ",,;q=1", "gzip;q=1;q=0", "GZIP ; Q=1"} {
		f.Add(s)
	}
	offered := []coding{zstdCoding, gzipCoding}
	f.Fuzz(func(t *testing.T, line string) {
		chosen := accepted([]string{line}, offered)
		if chosen != noCoding && chosen != gzipCoding && chosen != zstdCoding {
			t.Fatalf("%q: %v", line, chosen)
		}
		if lower := strings.ToLower(line); chosen != noCoding && !strings.Contains(lower, chosen.String()) && !strings.Contains(line, "*") {
			t.Fatalf("%q: %s was not asked for", line, chosen)
		}
		// What a client names once more, and refuses, it doesn't get.
		if chosen != noCoding && accepted([]string{line, chosen.String() + ";q=0"}, offered) == chosen {
			t.Fatalf("%q: %s is refused", line, chosen)
		}
	})
}

func BenchmarkCompress(b *testing.B) {
	text := []byte(strings.Repeat(prose, 9)) // 100 KB
	for _, c := range []coding{gzipCoding, zstdCoding} {
		b.Run(c.String(), func(b *testing.B) {
			e := newEncoders()
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				one := e.take(c, io.Discard)
				_, _ = one.Write(text)
				_ = one.Close()
				e.give(c, one)
			}
		})
	}
	b.Run("not", func(b *testing.B) {
		c, err := newCompressor([]string{"zstd", "gzip"}, newEncoders())
		if err != nil {
			b.Fatal(err)
		}
		h := http.Header{"Content-Type": {"text/html"}, "Vary": {"Accept-Encoding"}}
		req := &CanonicalRequest{Method: "GET", in: typical()}
		b.ReportAllocs()
		for b.Loop() {
			c.choose(judged{req: req, status: 200, header: h, personal: true, ambient: true})
		}
	})
}
