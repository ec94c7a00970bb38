package pages

import (
	"os"
	"strings"
	"testing"
)

func TestAnswersAreAsTheyWere(t *testing.T) {
	p := newPages(t)
	names := map[string]bool{}
	for _, s := range all(p) {
		t.Run(s.name, func(t *testing.T) {
			golden(t, s.name, dump(p, ask(t, s.answer, s.method, s.header...)))
		})
		names[strings.ReplaceAll(s.name, " ", "_")+".txt"] = true
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !f.IsDir() && !names[f.Name()] {
			t.Errorf("testdata/%s belongs to no test", f.Name())
		}
	}
}
