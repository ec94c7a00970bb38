package proxy

import (
	"cmp"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/doorward/doorward/internal/pages"
)

// Files serves a directory. Nothing outside it is reached by any path or symbolic link, and names that begin with a dot are
// not there.
type Files struct {
	Root     string // directory; it may be replaced at any time, also by turning a symbolic link to another
	Index    string // name of the page of a directory; "" = a directory is 404
	Fallback string // served with 200 for paths that name no file: the page of a single-page application; "" = 404
}

// fileServer is a Files. It keeps nothing open: a new release behind the same name counts at once.
type fileServer struct{ root, index, fallback string }

func newFileServer(c Files, rc Route) (*fileServer, error) {
	for _, f := range [...]struct{ key, name string }{{"index", c.Index}, {"fallback", c.Fallback}} {
		if f.name != "" && (!filepath.IsLocal(f.name) || hidden(f.name) || f.key == "index" && strings.ContainsAny(f.name, `/\`)) {
			return nil, fmt.Errorf("files.%s: %q must be the name of a file in the directory, and not begin with a dot", f.key, f.name)
		}
	}
	switch {
	case c.Root == "":
		return nil, errors.New("files.root: it is missing")
	case len(rc.Encoded) > 0:
		return nil, errors.New("encoded: no file has a slash in its name")
	}
	return &fileServer{c.Root, c.Index, c.Fallback}, nil
}

// hidden reports whether a part of a path begins with a dot: .git, .env, .htpasswd.
func hidden(name string) bool {
	return strings.HasPrefix(name, ".") || strings.Contains(name, "/.")
}

func (s *fileServer) String() string { return "files below " + s.root }

// serve answers GET and HEAD. The path is the canonical one, as the route rewrites it, so it has no dot segments, empty
// segments, backslashes or NUL; and [os.Root] follows no link out of the directory.
func (s *fileServer) serve(w http.ResponseWriter, req *CanonicalRequest, rt *route) error {
	if req.Method != http.MethodGet && req.Method != http.MethodHead {
		return methodNotAllowed(w, "GET, HEAD")
	}
	root, err := os.OpenRoot(s.root)
	if err != nil {
		return fmt.Errorf("files: %w", err)
	}
	defer root.Close()
	_, decoded := rt.inward(req.Path, req.decoded)
	f, toSlash := s.open(root, decoded, strings.HasSuffix(req.decoded, "/"))
	if toSlash {
		return s.toSlash(w, req, rt)
	}
	if f == nil && s.fallback != "" {
		f = regular(root, s.fallback)
	}
	if f == nil {
		return &pages.Error{Code: codeNoRoute, Detail: "There is nothing at this address."}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	h := w.Header()
	h["Content-Type"] = []string{ContentTypeOf(f.Name())}
	h["Etag"] = []string{`"` + strconv.FormatInt(info.ModTime().UnixNano(), 36) + "-" + strconv.FormatInt(info.Size(), 36) + `"`}
	rt.dress(h)
	http.ServeContent(w, req.in, "", info.ModTime(), f)
	return nil
}

// open finds the file that a path names, or the index of the directory. toSlash says that only a slash is missing at the
// end of what was asked for, without which the relative links of the index would lead elsewhere.
func (s *fileServer) open(root *os.Root, decoded string, askedWithSlash bool) (f *os.File, toSlash bool) {
	name := strings.Trim(decoded, "/")
	if hidden(name) {
		return nil, false
	}
	local := "."
	if name != "" {
		var err error
		if local, err = filepath.Localize(name); err != nil { // a device of Windows, among others
			return nil, false
		}
	}
	info, err := root.Stat(local)
	switch {
	case err != nil:
		return nil, false
	case info.IsDir() && s.index != "":
		if f = regular(root, filepath.Join(local, s.index)); f != nil && !askedWithSlash {
			_ = f.Close()
			return nil, true
		}
		return f, false
	case info.IsDir() || strings.HasSuffix(decoded, "/"):
		return nil, false
	}
	return regular(root, local), false
}

// regular opens a file. Anything else that has a name is not opened at all, because opening a device may do something.
// Should one take the file's place in between, O_NONBLOCK keeps a pipe from waiting for its writer.
func regular(root *os.Root, name string) *os.File {
	if info, err := root.Stat(name); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		return nil
	}
	return f
}

// toSlash redirects within the host: a canonical path begins with one slash (P067).
func (s *fileServer) toSlash(w http.ResponseWriter, req *CanonicalRequest, rt *route) error {
	to := req.Path + "/"
	if req.Query != "" {
		to += "?" + forHeader(req.Query)
	}
	h := w.Header()
	h["Location"] = []string{to}
	rt.dress(h)
	w.WriteHeader(http.StatusMovedPermanently)
	return nil
}

// ContentTypeOf goes by the name alone. What the name does not tell is bytes, and no browser guesses more.
func ContentTypeOf(name string) string {
	extension := strings.ToLower(path.Ext(filepath.ToSlash(name)))
	switch extension { // the same on every machine, whatever its mime.types say
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".html", ".htm":
		return "text/html; charset=utf-8"
	case ".txt":
		return "text/plain; charset=utf-8"
	case ".json", ".map":
		return "application/json"
	case ".svg":
		return "image/svg+xml"
	case ".wasm":
		return "application/wasm"
	case ".webmanifest":
		return "application/manifest+json"
	case ".woff2":
		return "font/woff2"
	case ".ico":
		return "image/x-icon"
	}
	return cmp.Or(mime.TypeByExtension(extension), "application/octet-stream")
}
