package sessions

import (
	"fmt"
	"strings"
)

const (
	maxChunks   = 5
	chunkSize   = 3800    // bytes of one cookie value; browsers take 4096 with the name
	sealedStart = "dwc0." // the digit says how many chunks there are
)

// split cuts sealed text into cookie values. The first one says how many there are, so that
// chunks which an earlier, longer session left behind are not taken for part of this one.
func split(text string) ([]string, error) {
	n := (len(sealedStart) + len(text) + chunkSize - 1) / chunkSize
	if n > maxChunks {
		return nil, fmt.Errorf("%w: sealed it has %d bytes, and %d fit into the cookies; keep sessions in another store: sessions.store = \"bolt\"",
			ErrTooLarge, len(text), maxChunks*chunkSize-len(sealedStart))
	}
	text = sealedStart[:3] + string(rune('0'+n)) + "." + text
	parts := make([]string, 0, n)
	for len(text) > chunkSize {
		parts = append(parts, text[:chunkSize])
		text = text[chunkSize:]
	}
	return append(parts, text), nil
}

// chunks returns how many chunks a first chunk says there are; 0 if it is none.
func chunks(first string) int {
	if len(first) < len(sealedStart) || first[:3] != sealedStart[:3] || first[4] != '.' || first[3] < '1' || first[3] > '0'+maxChunks {
		return 0
	}
	return int(first[3] - '0')
}

// join reverses split. Every chunk but the last must be full.
func join(parts []string) (text string, ok bool) {
	for i, part := range parts {
		if len(part) > chunkSize || part == "" || i < len(parts)-1 && len(part) != chunkSize {
			return "", false
		}
	}
	if len(parts) == 0 || chunks(parts[0]) != len(parts) {
		return "", false
	}
	if len(parts) == 1 {
		return parts[0][len(sealedStart):], true
	}
	return strings.Join(parts, "")[len(sealedStart):], true
}
