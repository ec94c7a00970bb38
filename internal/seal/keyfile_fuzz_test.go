package seal

import (
	"bytes"
	"testing"
)

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte("# new\nAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n\nAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI\r\n"))
	f.Add([]byte("#"))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseKeys(text)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		for _, k := range keys {
			if len(k) != KeySize {
				t.Fatalf("a key of %d bytes", len(k))
			}
		}
		if len(keys) > 1+bytes.Count(text, []byte("\n")) {
			t.Fatalf("%d keys on fewer lines", len(keys))
		}
	})
}
