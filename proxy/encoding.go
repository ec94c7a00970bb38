package proxy

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// encoding is how a value becomes the value of a header: whatever a claim holds, it ends no line (P031), and one
// member of a list never becomes two (P032).
type encoding string

const (
	// percent is reversible and always possible: what is not printable ASCII, "%" and "," become %XX.
	encodingPercent encoding = "percent"
	// raw is UTF-8 as it is. What cannot stand in a header is an error: an upstream that got nothing instead might take the
	// caller for somebody else. In lists, "%" and "," become %XX all the same.
	encodingRaw encoding = "raw"
	// rfc8187 is ext-value of RFC 8187 §3.2.1, of each member of a list.
	encodingRFC8187 encoding = "rfc8187"
	// base64url is that of the UTF-8 text without padding (RFC 4648 §5); a list is a JSON array before.
	encodingBase64 encoding = "base64url"
)

var (
	errUnprintable = errors.New(`it holds what a header cannot carry as it is; choose another headers.encoding than "raw"`)
	errNotUTF8     = errors.New(`it is no UTF-8; only headers.encoding = "percent" can carry it`)
)

func newEncoding(name string, otherwise encoding) (encoding, error) {
	switch e := encoding(name); e {
	case "":
		return otherwise, nil
	case encodingPercent, encodingRaw, encodingRFC8187, encodingBase64:
		return e, nil
	}
	return "", fmt.Errorf("headers.encoding: %q is not one of %q, %q, %q, %q", name, encodingPercent, encodingRaw, encodingRFC8187, encodingBase64)
}

// value encodes one text; "" stays "". It does no work for what fits in no header.
func (e encoding) value(s string) (string, error) {
	if s == "" || e == encodingPercent {
		return encodeValue(s), nil
	}
	switch {
	case len(s) > maxIdentityHeader:
		return "", errTooLarge
	case !utf8.ValidString(s):
		return "", errNotUTF8
	}
	switch e {
	case encodingRFC8187:
		return extValue(s), nil
	case encodingBase64:
		return base64.RawURLEncoding.EncodeToString([]byte(s)), nil
	}
	if strings.ContainsFunc(s, unicode.IsControl) || s != strings.Trim(s, " ") {
		return "", errUnprintable
	}
	return s, nil
}

// list encodes texts, of which empty ones are none. quoted puts each into quotation marks, as vouch does.
func (e encoding) list(values []string, quoted bool) (string, error) {
	size, full := 0, make([]string, 0, len(values))
	for _, v := range values {
		if size += len(v); size > maxIdentityHeader {
			return "", errTooLarge
		}
		if v != "" {
			full = append(full, v)
		}
	}
	if len(full) == 0 {
		return "", nil
	}
	if e == encodingBase64 {
		return base64List(full)
	}
	for i, v := range full {
		m, err := e.member(v)
		if err != nil {
			return "", err
		}
		if quoted {
			m = `"` + strings.ReplaceAll(m, `"`, "%22") + `"`
		}
		full[i] = m
	}
	return strings.Join(full, ","), nil
}

// member encodes one text of a list.
func (e encoding) member(s string) (string, error) {
	if e != encodingRaw {
		return e.value(s)
	}
	if !utf8.ValidString(s) {
		return "", errNotUTF8
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return "", errUnprintable
	}
	return percentEncode(s, func(c byte) bool { return c == '%' || c == ',' }), nil
}

func base64List(values []string) (string, error) {
	for _, v := range values {
		if !utf8.ValidString(v) { // JSON would make U+FFFD of it, and one group of two
			return "", errNotUTF8
		}
	}
	text, err := json.Marshal(values)
	return base64.RawURLEncoding.EncodeToString(text), err
}

// extValue always writes the charset in front: a text that begins so itself would be read as another one.
func extValue(s string) string {
	var b strings.Builder
	b.WriteString("UTF-8''")
	for i := 0; i < len(s) && b.Len() <= maxIdentityHeader; i++ {
		if c := s[i]; isAttrChar(c) {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		}
	}
	return b.String()
}

// isAttrChar is attr-char of RFC 8187 §3.2.1.
func isAttrChar(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$&+-.^_`|~", c) >= 0
}

// encodeValue percent-encodes what a header cannot carry or what its reader would take for
// syntax: "%", comma, control and non-ASCII characters (P031), and spaces at either end,
// which HTTP drops, so that " admin" would arrive as "admin". It stops beyond maxIdentityHeader,
// which injection.add refuses.
func encodeValue(s string) string {
	if plainValue(s) {
		return s
	}
	return percentEncode(s, func(c byte) bool { return c < ' ' || c >= 0x7f || c == '%' || c == ',' })
}

// percentEncode writes %XX for whatever is to be encoded, and for spaces at either end.
func percentEncode(s string, is func(byte) bool) string {
	var b strings.Builder
	first, last := len(s)-len(strings.TrimLeft(s, " ")), len(strings.TrimRight(s, " "))
	for i := 0; i < len(s) && b.Len() <= maxIdentityHeader; i++ {
		if c := s[i]; is(c) || i < first || i >= last {
			b.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

func plainValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '%' || c == ',' {
			return false
		}
	}
	return s == strings.Trim(s, " ")
}
