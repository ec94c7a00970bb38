package pages

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed static
var static embed.FS

// contentTypes are given here because package mime would ask the machine.
var contentTypes = map[string]string{".svg": "image/svg+xml", ".js": "text/javascript; charset=utf-8"}

// file is one embedded file with its hash, by which caches know it.
type file struct {
	body              []byte
	contentType, hash string
}

func (p *Pages) readFiles() error {
	entries, err := fs.ReadDir(static, "static")
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	p.files = make(map[string]file, len(entries))
	for _, e := range entries {
		body, err := static.ReadFile("static/" + e.Name())
		if err != nil {
			return fmt.Errorf("pages: %w", err)
		}
		if path.Ext(e.Name()) == ".js" {
			body = []byte(uncommented(string(body)))
		}
		sum := sha256.Sum256(body)
		contentType, ok := contentTypes[path.Ext(e.Name())]
		if !ok {
			return fmt.Errorf("pages: no content type for static/%s", e.Name())
		}
		p.files[e.Name()] = file{body, contentType, hex.EncodeToString(sum[:8])}
	}
	p.icon = p.prefix + "/static/mark.svg?v=" + p.files["mark.svg"].hash
	return nil
}

// Static serves the embedded files (…/static/NAME, the part before NAME stripped). Pages name
// them with their hash as v, and a year of caching is right for exactly that content;
// under any other v a cache has to ask.
func (p *Pages) Static() http.Handler {
	return p.Handle(func(w http.ResponseWriter, r *http.Request) error {
		f, ok := p.files[r.URL.Path]
		if !ok {
			return &Error{Code: "no_route"}
		}
		h := w.Header()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			return &Error{Code: "method_not_allowed", Detail: "Allowed here: GET, HEAD."}
		}
		etag := `"` + f.hash + `"`
		h.Set("Etag", etag)
		h.Set("Cache-Control", "public, no-cache")
		if r.URL.RawQuery == "v="+f.hash {
			h.Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		if strings.Contains(r.Header.Get("If-None-Match"), etag) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
		sendFile(w, r, f)
		return nil
	})
}

func sendFile(w http.ResponseWriter, r *http.Request, f file) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Content-Length", strconv.Itoa(len(f.body)))
	h.Set("Content-Security-Policy", bare) // an SVG is a document, if it is opened by itself
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(f.body)
	}
}
