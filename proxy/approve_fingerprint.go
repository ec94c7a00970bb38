package proxy

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"maps"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/approval"
)

// boundHeaders change what a request does, beside those of the content itself.
var boundHeaders = set([]string{
	"Destination", "Depth", "Overwrite", "If", "Range", "Lock-Token", "Translate", "Slug",
	"Soapaction", "Idempotency-Key", "X-Idempotency-Key", "Prefer", "X-Amz-Target", "X-Amz-Copy-Source", "X-Goog-Copy-Source", "X-Ms-Copy-Source",
})

func bound(name string) bool {
	return boundHeaders[name] || strings.HasPrefix(name, "If-") || strings.HasPrefix(name, "Upload-") ||
		strings.HasPrefix(name, "Content-") && name != "Content-Length" // as it is written down, not as it is framed
}

// fingerprint is of route, method, host, path, query, the headers that say what the body is or what is to be done
// with it, and the body. Two requests that differ in a byte of these have two.
func fingerprint(route string, req *CanonicalRequest, body []byte) (f approval.Fingerprint) {
	h := sha256.New()
	texts(h, "doorward approval 1", route, req.Method, req.site.origin, req.Target())
	for _, name := range slices.Sorted(maps.Keys(req.in.Header)) {
		if bound(name) {
			texts(h, append([]string{name}, req.in.Header[name]...)...)
		}
	}
	texts(h, string(body))
	return approval.Fingerprint(h.Sum(nil))
}

// texts hashes a list so that no other list gives the same: with how many there are, and with the length of each.
func texts(h hash.Hash, list ...string) {
	var n [8]byte
	number := func(v int) {
		binary.BigEndian.PutUint64(n[:], uint64(v))
		h.Write(n[:])
	}
	number(len(list))
	for _, s := range list {
		number(len(s))
		h.Write([]byte(s))
	}
}

const tagLength = 6

// tagOf is a route's mark at the beginning of its approvals' names: an approval of one route is none of another, and
// which route it is of need not be searched for. It is the same on every replica.
func tagOf(route string) string {
	sum := sha256.Sum256([]byte("doorward approval of route " + route))
	return base64.RawURLEncoding.EncodeToString(sum[:])[:tagLength]
}

// idIn returns the approver's id in a name of this route's.
func (a *gate) idIn(name string) (id string, ok bool) {
	id, ok = strings.CutPrefix(name, a.tag)
	return id, ok && approvalID(id)
}

// approvalID reports whether a text can be an id at all: no store need be asked for others.
func approvalID(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}
