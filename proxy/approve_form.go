package proxy

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// maxFields bounds the names of one form.
const maxFields = 1000

// parseForm reads application/x-www-form-urlencoded strictly: what one server reads differently
// from another is refused, because the person would approve one reading and the application act on the other.
func parseForm(body string) (form map[string]string, refusal string) {
	form = make(map[string]string)
	names := make(fieldNames)
	if body == "" {
		return form, ""
	}
	if strings.Contains(body, ";") {
		return nil, "The form holds a semicolon, which some servers take for a separator."
	}
	for part := range strings.SplitSeq(body, "&") {
		if len(form) == maxFields {
			return nil, "The form has too many fields."
		}
		name, value, refusal := parsePair(part)
		if refusal != "" {
			return nil, refusal
		}
		if refusal := names.add(name); refusal != "" {
			return nil, refusal
		}
		form[name] = value
	}
	return form, ""
}

func parsePair(part string) (name, value, refusal string) {
	name, value, ok := strings.Cut(part, "=")
	if !ok {
		return "", "", "The form holds something that is not a name with a value."
	}
	for _, s := range []*string{&name, &value} {
		decoded, err := url.QueryUnescape(*s)
		switch {
		case err != nil:
			return "", "", "The form holds a percent sign that is not followed by two hexadecimal digits."
		case !utf8.ValidString(decoded):
			return "", "", "The form is not UTF-8 once it is decoded."
		}
		*s = decoded
	}
	return name, value, fieldName(name)
}

// fieldName refuses names that some framework cuts or trims into another one.
func fieldName(name string) (refusal string) {
	switch {
	case name == "":
		return "The form holds a value without a name."
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "The name of a field holds a control character."
	case strings.TrimSpace(name) != name:
		return "The name of a field begins or ends with a space."
	case !nested(name):
		return "The name of a field holds brackets that do not match."
	}
	return ""
}

// nested reports whether brackets stand as in "a[b][]". Of "a[b" PHP makes "a_b", and of "a[b]c" it makes "a[b]".
func nested(name string) bool {
	base, rest, ok := strings.Cut(name, "[")
	for ok {
		var part string
		if part, rest, ok = strings.Cut(rest, "]"); !ok || strings.ContainsRune(part, '[') {
			return false
		}
		if rest == "" {
			return base != "" && !strings.ContainsRune(base, ']')
		}
		if rest, ok = strings.CutPrefix(rest, "["); !ok {
			return false
		}
	}
	return !strings.ContainsRune(base, ']')
}

// fieldNames finds fields that are said twice, in the eyes of any server in use: ASP.NET ignores case,
// PHP reads "a.b" and "a b" as "a_b", and with "a" and "a[]" the last one wins.
type fieldNames map[string]fieldUse

type fieldUse struct{ plain, nested bool }

func (f fieldNames) add(name string) (refusal string) {
	whole := sameName(name)
	base, _, nested := strings.Cut(whole, "[")
	use := f[base]
	if !nested && (use.plain || use.nested) || nested && use.plain {
		return twice(name)
	}
	if nested {
		if _, said := f[whole]; said {
			return twice(name)
		}
		f[whole] = fieldUse{nested: true}
	}
	f[base] = fieldUse{plain: use.plain || !nested, nested: use.nested || nested}
	return ""
}

// holds reports whether name, or a part of it, was added.
func (f fieldNames) holds(name string) bool {
	base, _, _ := strings.Cut(sameName(name), "[")
	_, ok := f[base]
	return ok
}

// sameName folds what servers take for one name.
func sameName(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '.' || r == ' ' {
			return '_'
		}
		return r
	}, foldCase(name))
}

// foldCase makes equal what strings.EqualFold, and with it Go's decoder of JSON, takes for
// equal: also the long s and the Kelvin sign.
func foldCase(s string) string { return strings.ToLower(strings.ToUpper(s)) }

// quoted is a name of the caller's in a sentence for the caller.
func quoted(name string) string { return excerpt(name) }

func twice(name string) string { return "The request says " + quoted(name) + " twice." }
