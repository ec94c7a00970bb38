package e2e

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/chromedp/chromedp"
)

// axeSource is axe-core, which knows more rules of WCAG than we do, and was written by others.
var axeSource = sync.OnceValues(func() (string, error) {
	source, err := os.ReadFile(filepath.Join("oidc-provider", "node_modules", "axe-core", "axe.min.js"))
	return string(source), err
})

// violation is one thing that axe finds, and where.
type violation struct{ ID, Impact, Help, Where string }

// axe returns what axe finds on the page as it is now.
func axe(tb *tab) (found []violation) {
	tb.t.Helper()
	source, err := axeSource()
	if err != nil {
		tb.t.Fatalf("axe-core is not installed: run (cd e2e/oidc-provider && npm ci): %v", err)
	}
	ctx, cancel := context.WithTimeout(tb.ctx, patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Evaluate[bool](source+"\n;typeof axe.run === 'function'")); err != nil {
		tb.t.Fatalf("axe-core does not load: %v", err)
	}
	return script[[]violation](tb, `
		const found = await axe.run(document, {resultTypes: ["violations"]});
		return found.violations.map((v) => ({ID: v.id, Impact: v.impact, Help: v.help,
			Where: v.nodes.map((n) => n.html.slice(0, 150)).join(" | ")}));`)
}

// checkAxe fails the test for what is serious or critical. The rest, which is advice, is told.
func checkAxe(t *testing.T, tb *tab, how string) {
	t.Helper()
	for _, v := range axe(tb) {
		say := t.Logf
		if v.grave() {
			say = t.Errorf
		}
		say("%s: axe %s (%s): %s: %s", how, v.ID, v.Impact, v.Help, v.Where)
	}
}

func (v violation) grave() bool { return v.Impact == "serious" || v.Impact == "critical" }

// That a fault would be found is what all other pages rely on.
func TestAxeFindsFaults(t *testing.T) {
	tb := newBrowser(t).tab(t)
	tb.open("data:text/html,<title>x</title><main><h1>x</h1><input><img src=x><p style='color:%23aaa;background:%23fff'>pale</p></main>")
	found := map[string]bool{}
	for _, v := range axe(tb) {
		if v.grave() {
			found[v.ID] = true
		}
	}
	for _, id := range []string{"html-has-lang", "label", "image-alt", "color-contrast"} {
		if !found[id] {
			t.Errorf("axe does not find %s: %v", id, found)
		}
	}
}
