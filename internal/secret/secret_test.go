package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/secret"
)

type holder struct {
	Exported secret.String
	hidden   secret.String
	nested   struct{ deep *secret.String }
}

func TestNoWayOfPrintingShowsTheContent(t *testing.T) {
	const content = "canary-7f3kq2"
	s := secret.New(content)
	h := holder{Exported: s, hidden: s}
	h.nested.deep = &s
	var out bytes.Buffer
	for _, v := range []any{s, &s, h, &h, []secret.String{s}, map[string]secret.String{"k": s}, fmt.Errorf("wrapped: %w", fmt.Errorf("%v", s))} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		_ = json.NewEncoder(&out).Encode(v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
	}
	if strings.Contains(out.String(), content) || strings.Contains(out.String(), fmt.Sprintf("%x", content)) {
		t.Fatalf("a secret was printed:\n%s", out.String())
	}
	if !strings.Contains(out.String(), "[redacted]") {
		t.Fatal("nothing says that something was redacted")
	}
}

func TestEmptyAndEqual(t *testing.T) {
	if !secret.New("").IsZero() || secret.New("").String() != "" {
		t.Error("the empty secret must be recognisable")
	}
	if !secret.New("a").Equal(secret.New("a")) || secret.New("a").Equal(secret.New("b")) {
		t.Error("Equal compares contents")
	}
}
