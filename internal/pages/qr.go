package pages

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// Limits of QR codes. A longer text makes modules too small for the camera of a phone that is
// held at arm's length, and a path that is most of the page.
const (
	maxQR     = 500 // bytes
	quietZone = 4   // modules of white around it (ISO/IEC 18004 §6.3.8); without them readers find nothing on a dark page
)

// qrCode is an address as a QR code: the data of one SVG path, to be drawn as lines of width 1.
type qrCode struct {
	Size int    // of a side in modules, with the quiet zone
	Path string // digits, spaces and the letters M, m and h
}

// encodeQR returns the code, or nil for what is no printable ASCII, too long, or empty. Callers do without
// one then: the address and the code stand next to it anyway.
func encodeQR(address string) *qrCode {
	if address == "" || len(address) > maxQR || strings.ContainsFunc(address, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil
	}
	level := qr.M
	if len(address) > 200 {
		level = qr.L // larger modules are worth more to a camera than more correction
	}
	code, err := qr.Encode(address, level)
	if err != nil {
		return nil
	}
	return &qrCode{code.Size + 2*quietZone, draw(code)}
}

// draw makes each run of dark modules one line. Coordinates after the first of a row are
// relative, which makes half the bytes.
func draw(code *qr.Code) string {
	var b strings.Builder
	for y := range code.Size {
		end := -1 // of the run before, in this row
		for x := 0; x < code.Size; x++ {
			if !code.Black(x, y) {
				continue
			}
			start := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			if end < 0 {
				fmt.Fprintf(&b, "M%d %d.5", start+quietZone, y+quietZone)
			} else {
				fmt.Fprintf(&b, "m%d 0", start-end)
			}
			fmt.Fprintf(&b, "h%d", x-start)
			end = x
		}
	}
	return b.String()
}
