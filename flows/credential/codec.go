package credential

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

// layout is the first byte of what is sealed; another one is another version's.
const layout = 1

var errLayout = errors.New("no token in a layout of this version")

// encode writes a grant: the layout, its times in Unix milliseconds, then its texts, each with its length.
func encode(g *grant) []byte {
	b := []byte{layout}
	for _, t := range []time.Time{g.tokens.ReceivedAt, g.ends, g.source, g.limit} {
		var ms int64
		if !t.IsZero() {
			ms = t.UnixMilli()
		}
		b = binary.AppendVarint(b, ms)
	}
	for _, s := range []string{g.tokens.AccessToken.Reveal(), g.tokens.TokenType, g.tokens.IssuedTokenType, g.tokens.Scope} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return b
}

// decode reads what encode has written, and nothing that is longer, shorter, or without a token and an end.
func decode(b []byte) (*grant, error) {
	if len(b) == 0 || b[0] != layout {
		return nil, errLayout
	}
	b = b[1:]
	var times [4]time.Time
	for i := range times {
		ms, n := binary.Varint(b)
		if n <= 0 || ms < 0 || ms > latest {
			return nil, errLayout
		}
		if b = b[n:]; ms > 0 {
			times[i] = time.UnixMilli(ms)
		}
	}
	var texts [4]string
	for i := range texts {
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, errLayout
		}
		texts[i], b = string(b[n:n+int(size)]), b[n+int(size):]
	}
	if len(b) > 0 || texts[0] == "" || times[0].IsZero() || times[1].IsZero() {
		return nil, errLayout
	}
	return &grant{
		tokens: &identity.Tokens{
			AccessToken: secret.New(texts[0]), TokenType: texts[1], IssuedTokenType: texts[2], Scope: texts[3], ReceivedAt: times[0], Expiry: times[1],
		},
		source: times[2], limit: times[3],
	}, nil
}

const latest = 253402300799000 // the end of the year 9999
