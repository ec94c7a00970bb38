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

// encodedSlash is how a slash that is part of a segment stands in a decoded path. Nothing else can leave these three
// characters there: written as "%252F" they are refused as encoded twice.
const encodedSlash = "%2F"

// parseSlashed is parsePath for routes that take encoded slashes. One is part of its segment for every judgement, and in
// encoded it stays as it came. But with plain slashes in their places the path must be canonical as well, so that a
// server which decodes before it takes paths apart finds nothing new in it: "..%2f", "%2f%2f" and a slash at either end
// of a segment are refused (P006).
func parseSlashed(raw string) (encoded, decoded, refusal string) {
	if _, _, refusal = parsePath(plainSlashes.Replace(raw)); refusal != "" {
		return "", "", refusal
	}
	var enc, dec strings.Builder
	for rest := raw; ; {
		piece, slash, tail := cutEncodedSlash(rest)
		e, d, refusal := decodePath(piece)
		if refusal != "" {
			return "", "", refusal
		}
		enc.WriteString(e)
		dec.WriteString(d)
		if slash == "" {
			return enc.String(), dec.String(), ""
		}
		if tail == "" {
			return "", "", "The path ends in an encoded slash."
		}
		enc.WriteString(slash)
		dec.WriteString(encodedSlash)
		rest = tail
	}
}

var plainSlashes = strings.NewReplacer("%2F", "/", "%2f", "/")

func cutEncodedSlash(path string) (before, slash, after string) {
	for i := 0; i+3 <= len(path); i++ {
		if slash = path[i : i+3]; strings.EqualFold(slash, encodedSlash) {
			return path[:i], slash, path[i+3:]
		}
	}
	return path, "", ""
}

// unslashed is a path of parseSlashed, decoded as [url.PathUnescape] does it.
func unslashed(decoded string) string { return strings.ReplaceAll(decoded, encodedSlash, "/") }

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
	if encodedTwice(dec.String()) {
		return "", "", "The path holds a dot, slash, backslash or NUL that is encoded twice."
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
	if b < ' ' || b == 0x7f || strings.IndexByte(`/\#?;`, b) >= 0 {
		return 0, "The path holds " + nameOf(b) + " in encoded form (" + s[:3] + "), which servers read differently."
	}
	return b, ""
}

// maxDecodings is how often somebody behind us may decode a path that we decoded once.
const maxDecodings = 3

// encodedTwice reports whether more decodings make of a path, already decoded once, a dot, a
// slash, a backslash or NUL that was not there: "%252e", and just as well "%25%32%65" (P008).
// Encodings nested deeper than anybody means them count as such.
func encodedTwice(decoded string) bool {
	for range maxDecodings {
		next := decodeAgain(decoded)
		switch {
		case len(next) == len(decoded):
			return false
		case structural(next) > structural(decoded):
			return true
		}
		decoded = next
	}
	return true
}

// structural counts the bytes that make one path into another.
func structural(path string) (n int) {
	for i := range len(path) {
		if strings.IndexByte("./\\\x00", path[i]) >= 0 {
			n++
		}
	}
	return n
}

// decodeAgain decodes what is left to be decoded in a path that was decoded before.
func decodeAgain(decoded string) string {
	if strings.IndexByte(decoded, '%') < 0 {
		return decoded
	}
	next := make([]byte, 0, len(decoded))
	for i := 0; i < len(decoded); i++ {
		c := decoded[i]
		if c == '%' && i+2 < len(decoded) && isHex(decoded[i+1]) && isHex(decoded[i+2]) {
			c = unhex(decoded[i+1])<<4 | unhex(decoded[i+2])
			i += 2
		}
		next = append(next, c)
	}
	return string(next)
}

// checkSegments refuses empty segments and whatever some server takes for "." or "..":
// also with a parameter ("..;x", Tomcat) or with spaces (".. ", Windows) (P004, P009, P010).
func checkSegments(decoded string) (refusal string) {
	for rest := decoded[1:]; rest != ""; {
		segment, tail, more := strings.Cut(rest, "/")
		name, _, _ := strings.Cut(segment, ";")
		switch {
		case name == "":
			return "The path holds an empty segment (//)."
		case (name[0] == '.' || name[0] == ' ') && dotSegment(name):
			return "The path holds a dot segment (. or ..)."
		}
		if !more {
			break
		}
		rest = tail
	}
	return ""
}

// dotSegment takes for one what is nothing but dots and spaces: of "..." and of a single space
// some server leaves nothing, so that the segments around it meet.
func dotSegment(name string) bool { return strings.Trim(name, ". ") == "" }

// lenient is a path as the least careful servers read it: decoded until nothing is left to
// decode ("/%2561dmin"), without the parameters that Java servers take off segments
// ("/admin;x"), and without the dots and spaces that Windows takes off the ends of names
// ("/admin.", "/admin%20"). It does not know that a Windows file system has
// further names for a file ("/admin::$DATA", "/ADMIN~1"), nor that it ignores case: a route
// that protects a part of such a server's files should cover all of them.
func lenient(decoded string) string {
	if plainEnds(decoded) {
		return decoded
	}
	for range maxDecodings {
		decoded = decodeAgain(decoded)
	}
	var b strings.Builder
	for i, segment := range strings.Split(decoded, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		name, _, _ := strings.Cut(segment, ";")
		b.WriteString(strings.TrimRight(name, ". "))
	}
	return b.String()
}

// plainEnds reports whether lenient would change nothing: the usual case.
func plainEnds(decoded string) bool {
	last := byte('/')
	for i := range len(decoded) {
		c := decoded[i]
		if c == ';' || c == '%' || c == '/' && (last == '.' || last == ' ') {
			return false
		}
		last = c
	}
	return last != '.' && last != ' '
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
