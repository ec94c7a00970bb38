package credentials

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// How what Doorward itself gives out begins, so that secret scanners know it, and so that none is ever
// taken for a password, or for somebody else's token, and sent to a provider.
const (
	TicketPrefix   = "dw1." // of a session
	PersonalPrefix = "dwp." // of a personal token
	KeyPrefix      = "dwk." // of an API key
)

// The schemes of RFC 6750 §2.1 and RFC 9449 §7.1.
const (
	SchemeBearer = "Bearer"
	SchemeDPoP   = "DPoP"
)

// MaxBasic bounds the credentials of Basic, in bytes: user name, colon and password. No
// provider takes longer ones.
const MaxBasic = 2 << 10

// Bearer returns the token of a Bearer header, as it stands there. ok is false for another scheme.
func Bearer(line string) (token string, ok bool) {
	return scheme(line, SchemeBearer)
}

// DPoP returns the token of a DPoP header (RFC 9449 §7.1). ok is false for another scheme.
func DPoP(line string) (token string, ok bool) {
	return scheme(line, SchemeDPoP)
}

// IsToken reports whether s can be a bearer token at all (b64token, RFC 6750 §2.1, but for where its "=" stand).
func IsToken(s string) bool {
	for i := range len(s) {
		if !b64token[s[i]] {
			return false
		}
	}
	return s != ""
}

// b64token are the bytes of RFC 6750 §2.1. Each request with a bearer token is read through, and comparisons cost five
// times as much as a table.
var b64token = [256]bool{
	'A': true, 'B': true, 'C': true, 'D': true, 'E': true, 'F': true, 'G': true, 'H': true, 'I': true, 'J': true, 'K': true, 'L': true, 'M': true,
	'N': true, 'O': true, 'P': true, 'Q': true, 'R': true, 'S': true, 'T': true, 'U': true, 'V': true, 'W': true, 'X': true, 'Y': true, 'Z': true,
	'a': true, 'b': true, 'c': true, 'd': true, 'e': true, 'f': true, 'g': true, 'h': true, 'i': true, 'j': true, 'k': true, 'l': true, 'm': true,
	'n': true, 'o': true, 'p': true, 'q': true, 'r': true, 's': true, 't': true, 'u': true, 'v': true, 'w': true, 'x': true, 'y': true, 'z': true,
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'-': true, '.': true, '_': true, '~': true, '+': true, '/': true, '=': true,
}

// Basic decodes a Basic header into buf, or into new memory if that is too small; both results are
// slices of it. The user name ends at the first colon, so a password may hold more (RFC 7617 §2).
// ok is false for another scheme. valid is false for what is no base64, has no colon, is too
// long, or holds control characters (RFC 7617 §2).
func Basic(line string, buf []byte) (user, password []byte, ok, valid bool) {
	rest, ok := scheme(line, "Basic")
	if !ok {
		return nil, nil, false, false
	}
	if strings.IndexByte(rest, '\n') >= 0 || strings.IndexByte(rest, '\r') >= 0 || base64.StdEncoding.DecodedLen(len(rest)) > MaxBasic+3 {
		return nil, nil, true, false // the decoder would skip line breaks
	}
	encoding := base64.StdEncoding
	if len(rest)%4 != 0 {
		encoding = base64.RawStdEncoding // some clients leave the padding out
	}
	plain, err := encoding.Strict().AppendDecode(buf[:0], []byte(rest))
	if err != nil || len(plain) > MaxBasic {
		return nil, nil, true, false
	}
	for _, c := range plain {
		if c < ' ' || c == 0x7f {
			return nil, nil, true, false
		}
	}
	colon := bytes.IndexByte(plain, ':')
	if colon < 0 {
		return nil, nil, true, false
	}
	return plain[:colon], plain[colon+1:], true, true
}

// IsTicket reports whether a token or a password is meant to be one of Doorward's own, a ticket, a personal token or an
// API key, valid or not.
func IsTicket[T string | []byte](s T) bool {
	return hasPrefix(s, TicketPrefix) || hasPrefix(s, PersonalPrefix) || hasPrefix(s, KeyPrefix)
}

// IsPersonal reports whether it is meant to be a personal token.
func IsPersonal[T string | []byte](s T) bool { return hasPrefix(s, PersonalPrefix) }

func hasPrefix[T string | []byte](s T, prefix string) bool {
	return len(s) >= len(prefix) && string(s[:len(prefix)]) == prefix
}

// HoldsTicket reports whether an Authorization header carries a ticket, a personal token or an API key of ours in whatever way: as it
// stands, of any scheme and in a list, or as user name or password of Basic. Some programs put a token in the place
// of the user name.
func HoldsTicket(line string) bool {
	for rest := line; ; {
		i := strings.Index(rest, "dw")
		if i < 0 {
			break
		}
		if IsTicket(rest[i:]) && (i == 0 || !inToken(rest[i-1])) {
			return true
		}
		rest = rest[i+1:]
	}
	var buf [256]byte
	user, password, _, valid := Basic(line, buf[:])
	return valid && (IsTicket(user) || IsTicket(password))
}

// inToken reports whether what follows c may be the rest of some other token (token68, RFC 9110 §11.2).
func inToken(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || strings.IndexByte("-._~+/", c) >= 0
}

// scheme returns what follows the name of a scheme, which has no case (RFC 9110 §11.1), and
// spaces.
func scheme(line, name string) (rest string, ok bool) {
	if len(line) < len(name) || !strings.EqualFold(line[:len(name)], name) {
		return "", false
	}
	rest = line[len(name):]
	if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return "", false
	}
	return strings.Trim(rest, " \t"), true
}
