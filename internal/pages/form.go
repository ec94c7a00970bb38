package pages

import (
	"fmt"
	"net/http"
	"strings"
)

// Field is one hidden field of a form.
type Field struct{ Name, Value string }

// Form is where a page of ours posts to: a path of our own, and what goes along unseen. Values go
// as they are; there are at most 50, of at most 16 KiB each.
type Form struct {
	Action string
	Hidden []Field
}

const (
	maxFields     = 50
	maxFieldValue = 16 << 10
)

// check says why f cannot be shown: only a mistake of ours leads a form elsewhere, or makes it
// too large, and one that lacks a field would do something else than it says.
func (f Form) check() error {
	if ownPath(f.Action) == "" {
		return fmt.Errorf("pages: a form must lead to a path of our own, not to %.100q", f.Action)
	}
	if len(f.Hidden) > maxFields {
		return fmt.Errorf("pages: the form to %s has %d hidden fields, more than %d", f.Action, len(f.Hidden), maxFields)
	}
	for _, field := range f.Hidden {
		if field.Name == "" || len(field.Name) > maxLabel || len(field.Value) > maxFieldValue {
			return fmt.Errorf("pages: a hidden field %.100q of %d bytes in the form to %s", field.Name, len(field.Value), f.Action)
		}
	}
	return nil
}

// showForm writes a page that is nothing without its form.
func (p *Pages) showForm(w http.ResponseWriter, r *http.Request, status int, d document, f Form, title string, page any) {
	if err := f.check(); err != nil {
		p.Error(w, r, err)
		return
	}
	p.show(w, r, status, d, true, title, page)
}

// asked says where a login leads and who is asked for it.
type asked struct{ Host, Label, Provider string }

func (a asked) clean() asked {
	return asked{clean(a.Host, maxValue), written(clean(a.Label, maxLabel)), clean(a.Provider, maxValue)}
}

// written returns a label that a person wrote, and "" for one that is merely the name of a login, as
// labels are where nobody wrote one: "(Staff)" says something to whoever signs in, "(legacy)" does not. What
// has a capital letter, a space or anything else that no such name may have, a person wrote.
func written(label string) string {
	if strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") == "" {
		return ""
	}
	return label
}
