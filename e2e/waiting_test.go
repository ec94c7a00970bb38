package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

// What the pages of Doorward that wait for another device have in common, as a person finds it.

// press presses the button, or follows the link, that says this.
func (tb *tab) press(says string) {
	tb.t.Helper()
	found := script[bool](tb, fmt.Sprintf(`
		for (const e of document.querySelectorAll("[data-pressed]")) e.removeAttribute("data-pressed");
		const e = [...document.querySelectorAll("main button, main a[href]")].find((e) => e.checkVisibility() && e.innerText.includes(%q));
		e?.setAttribute("data-pressed", "");
		return e !== undefined;`, says))
	if !found {
		tb.t.Fatalf("no button says %q: %+v", says, tb.look())
	}
	tb.do(chromedp.Click(chromedp.CSS("[data-pressed]")))
}

// fill types into a field, in the place of what stands there.
func (tb *tab) fill(name, text string) {
	tb.t.Helper()
	field := fmt.Sprintf("input[name=%s]", name)
	script[any](tb, fmt.Sprintf(`document.querySelector(%q).value = ""; return null;`, field))
	tb.do(chromedp.SendKeys(chromedp.CSS(field), text))
}

// begin goes from the page on which a waiting sign-in begins to the one that waits. With script
// the first may have posted itself already.
func (tb *tab) begin() {
	tb.t.Helper()
	press := false
	tb.wait("the page that begins, or the one that waits", func(view) bool {
		at := script[struct{ Waits, Begins, Auto bool }](tb, `return {
			Waits: location.search.includes("attempt="),
			Begins: document.querySelector("#send") !== null,
			Auto: document.querySelector("#send[data-auto]") !== null,
		}`)
		press = !at.Waits && at.Begins && (tb.noScript || !at.Auto)
		return at.Waits || press
	})
	if press {
		tb.press("Sign in")
	}
	tb.waiting()
}

// waiting waits for the page that waits.
func (tb *tab) waiting() view {
	tb.t.Helper()
	return tb.wait("the page that waits", func(v view) bool { return strings.Contains(v.URL, "attempt=") && v.Text != "" })
}

// says waits until the page says one of these, however it is written.
func (tb *tab) says(words ...string) view {
	tb.t.Helper()
	return tb.wait("a page that says "+strings.Join(words, " or "), func(v view) bool {
		for _, word := range words {
			if strings.Contains(strings.ToLower(v.Text), strings.ToLower(word)) {
				return true
			}
		}
		return false
	})
}

// userCode is the code on the device page, as a person would type it elsewhere.
func (tb *tab) userCode() string {
	tb.t.Helper()
	code := script[string](tb, `return document.querySelector("#copy")?.dataset.code ?? ""`)
	if len(code) < 6 {
		tb.t.Fatalf("the page shows no code (%q): %+v", code, tb.look())
	}
	return code
}

// bindingMessage is what the page says the phone must show too.
func (tb *tab) bindingMessage() string {
	tb.t.Helper()
	text := script[string](tb, `return document.querySelector(".ticket .code")?.textContent.trim() ?? ""`)
	if text == "" {
		tb.t.Fatalf("the page shows no binding message: %+v", tb.look())
	}
	return text
}

// nobodyElseGets looks at the address of a waiting page with the browser of somebody else: what is
// shown there must be of no use (P155, P166, DEV-8).
func (tb *tab) nobodyElseGets(t *testing.T, other *browser, secret string) {
	t.Helper()
	theirs := other.tab(t)
	theirs.open(tb.look().URL)
	v := theirs.wait("an answer", func(v view) bool { return v.Title != "" })
	if strings.Contains(strings.ReplaceAll(v.Text, " ", ""), secret) {
		t.Errorf("another browser is shown %q: %s", secret, v.Text)
	}
}

var (
	// digits are what differs between two pages that count down.
	digits = regexp.MustCompile(`[0-9]+`)
	// references are what differs between two pages that refuse.
	references = regexp.MustCompile(`\b[0-9A-Z]{6}\b`)
)
