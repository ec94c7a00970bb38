package proxy

import (
	"strings"
	"unicode/utf8"
)

const upperHex = "0123456789ABCDEF"

// parsePath reads the path of a request target as every server must read it, or says why
// servers would differ over it (S1). encoded is what goes upstream: the client's own
// bytes, except that characters which have no place in a URI (a raw "|" or "ü") are
// percent-encoded. decoded is encoded, decoded exactly once: what is judged. Because no
// slash, dot segment or delimiter can hide in an encoding, both have the same segments.
func parsePath(raw string) (encoded, decoded, refusal string) {
	if raw == "" || raw[0] != '/' {
		return "", "", "The path does not begin with a slash."
	}
	encoded, decoded = raw, raw
	if !plainPath(raw) {
		if encoded, decoded, refusal = decodePath(raw); refusal != "" {
			return "", "", refusal
		}
	}
	if refusal = checkSegments(decoded); refusal != "" {
		return "", "", refusal
	}
	return encoded, decoded, ""
}

// plainPath reports whether a path is the same encoded and decoded: the usual case.
func plainPath(raw string) bool {
	for i := range len(raw) {
		if !pathByte(raw[i]) {
			return false
		}
	}
	return true
}

// pathByte is RFC 3986 pchar and "/", without "%", and with the brackets that browsers
// leave as they are.
func pathByte(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("/-._~!$&'()*+,;=:@[]", c) >= 0
}

func decodePath(raw string) (encoded, decoded, refusal string) {
	var enc, dec strings.Builder
	enc.Grow(len(raw))
	dec.Grow(len(raw))
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch {
		case pathByte(c):
			enc.WriteByte(c)
			dec.WriteByte(c)
		case c == '%':
			b, refusal := escape(raw[i:])
			if refusal != "" {
				return "", "", refusal
			}
			enc.WriteString(raw[i : i+3])
			dec.WriteByte(b)
			i += 2
		case c <= ' ' || c == 0x7f || c == '\\' || c == '#' || c == '?':
			return "", "", "The path holds " + nameOf(c) + "."
		default:
			enc.Write([]byte{'%', upperHex[c>>4], upperHex[c&15]})
			dec.WriteByte(c)
		}
	}
	if !utf8.ValidString(dec.String()) {
		return "", "", "The path is not UTF-8 once it is decoded."
	}
	return enc.String(), dec.String(), ""
}

// escape reads the "%XX" at the beginning of s. It refuses the encodings of characters
// that some servers decode before they take a path apart, and some after (P003, P006, P007).
func escape(s string) (b byte, refusal string) {
	if len(s) < 3 || !isHex(s[1]) || !isHex(s[2]) {
		return 0, "The path holds a percent sign that is not followed by two hexadecimal digits."
	}
	b = unhex(s[1])<<4 | unhex(s[2])
	switch {
	case b < ' ' || b == 0x7f || strings.IndexByte(`/\#?;`, b) >= 0:
		return 0, "The path holds " + nameOf(b) + " in encoded form (" + s[:3] + "), which servers read differently."
	case b == '%' && encodedTwice(s[3:]):
		return 0, "The path holds a dot, slash, backslash or NUL that is encoded twice."
	}
	return b, ""
}

// encodedTwice reports whether what follows "%25" makes it, after as many further
// decodings as anybody may do, a dot, a slash, a backslash or NUL (P008).
func encodedTwice(rest string) bool {
	for strings.HasPrefix(rest, "25") {
		rest = rest[2:]
	}
	if len(rest) < 2 || !isHex(rest[0]) || !isHex(rest[1]) {
		return false
	}
	b := unhex(rest[0])<<4 | unhex(rest[1])
	return b == '.' || b == '/' || b == '\\' || b == 0
}

// checkSegments refuses empty segments and whatever some server takes for "." or "..":
// also with a parameter ("..;x", Tomcat) or trailing spaces (Windows) (P004, P009, P010).
func checkSegments(decoded string) (refusal string) {
	for rest := decoded[1:]; rest != ""; {
		segment, tail, more := strings.Cut(rest, "/")
		name, _, _ := strings.Cut(segment, ";")
		if name == "" {
			return "The path holds an empty segment (//)."
		}
		if name[0] == '.' {
			if name = strings.TrimRight(name, " "); name == "." || name == ".." {
				return "The path holds a dot segment (. or ..)."
			}
		}
		if !more {
			break
		}
		rest = tail
	}
	return ""
}

// withoutParameters removes ";…" from every segment, as Java servers do.
func withoutParameters(decoded string) string {
	if strings.IndexByte(decoded, ';') < 0 {
		return decoded
	}
	var b strings.Builder
	for i, segment := range strings.Split(decoded, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		name, _, _ := strings.Cut(segment, ";")
		b.WriteString(name)
	}
	return b.String()
}

// checkQuery accepts every query that all parsers read alike up to their choice of
// separators. Nothing here is ever decided by a query, and its bytes go upstream as they
// came (P001, P018).
func checkQuery(query string) (refusal string) {
	for i := 0; i < len(query); i++ {
		switch c := query[i]; {
		case c <= ' ' || c == 0x7f || c == '#':
			return "The query holds " + nameOf(c) + "."
		case c == '%' && (i+2 >= len(query) || !isHex(query[i+1]) || !isHex(query[i+2])):
			return "The query holds a percent sign that is not followed by two hexadecimal digits."
		}
	}
	return ""
}

func nameOf(c byte) string {
	switch c {
	case '/':
		return "a slash"
	case '\\':
		return "a backslash"
	case '#':
		return "a number sign (#)"
	case '?':
		return "a question mark"
	case ';':
		return "a semicolon"
	case ' ':
		return "a space"
	}
	return "a control character"
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
