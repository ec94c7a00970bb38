package proxy

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"testing"

	"github.com/doorward/doorward/internal/approval"
)

func TestNoTwoRequestsHaveOneFingerprint(t *testing.T) {
	of := func(route, method, origin, path, query, body string, header http.Header) approval.Fingerprint {
		return fingerprint(route, &CanonicalRequest{Method: method, Path: path, Query: query, hasQuery: query != "-", site: &site{origin: origin}, in: &http.Request{Header: header}}, []byte(body))
	}
	seen := make(map[approval.Fingerprint]string)
	add := func(what string, f approval.Fingerprint) {
		if other, ok := seen[f]; ok {
			t.Errorf("%s is %s", what, other)
		}
		seen[f] = what
	}
	add("a request", of("pay", "POST", "https://a", "/x", "", "b", nil))
	add("another route", of("buy", "POST", "https://a", "/x", "", "b", nil))
	add("another method", of("pay", "PUT", "https://a", "/x", "", "b", nil))
	add("another host", of("pay", "POST", "https://b", "/x", "", "b", nil))
	add("another path", of("pay", "POST", "https://a", "/y", "", "b", nil))
	add("no query", of("pay", "POST", "https://a", "/x", "-", "b", nil))
	add("another query", of("pay", "POST", "https://a", "/x", "y", "b", nil))
	add("another body", of("pay", "POST", "https://a", "/x", "", "", nil))
	add("a path that reaches into the host", of("pay", "POST", "https://a/", "x", "", "b", nil))
	add("a method that reaches into the route", of("payP", "OST", "https://a", "/x", "", "b", nil))
	for _, name := range []string{
		"Content-Type", "Content-Encoding", "Content-Disposition", "Content-Range", "If", "If-Match", "If-Schedule-Tag-Match", "If-Range", "Range", "Destination",
		"Depth", "Overwrite", "Lock-Token", "Translate", "Slug", "Upload-Offset", "Soapaction", "Idempotency-Key", "X-Idempotency-Key", "Prefer",
		"X-Amz-Target", "X-Amz-Copy-Source", "X-Goog-Copy-Source", "X-Ms-Copy-Source",
	} {
		add(name, of("pay", "POST", "https://a", "/x", "", "b", http.Header{name: {"v"}}))
		add(name+" in two lines", of("pay", "POST", "https://a", "/x", "", "b", http.Header{name: {"v", ""}}))
	}
	for _, name := range []string{"Content-Length", "User-Agent", "Cookie", "X-Request-Id", "Traceparent"} {
		if seen[of("pay", "POST", "https://a", "/x", "", "b", http.Header{name: {"v"}})] != "a request" {
			t.Errorf("%s differs each time, and is bound", name)
		}
	}
}

func TestNoTwoListsOfTextsHashAlike(t *testing.T) {
	seen := make(map[string]string)
	for _, lists := range [][][]string{
		{{"ab"}},
		{{"a", "b"}},
		{{"a"}, {"b"}},
		{{"", "ab"}},
		{{"ab", ""}},
		{{"ab"}, {}},
		{{"ab"}, {""}},
		{{}},
		{{""}},
		{{"", ""}},
		{{"a"}, {"b", ""}},
		{{"a", "b"}, {""}},
		{{"a\x00\x00\x00\x00\x00\x00\x00\x01b"}},
		{{"a"}, {"b"}, {}},
	} {
		h := sha256.New()
		for _, list := range lists {
			texts(h, list...)
		}
		sum := string(h.Sum(nil))
		if other, ok := seen[sum]; ok {
			t.Errorf("%q hashes like %s", lists, other)
		}
		seen[sum] = fmt.Sprintf("%q", lists)
	}
}
