package main

import (
	"io"
	"os"
	"strings"

	"rsc.io/qr"
)

// isTerminal takes any character device for a terminal: the other ones (/dev/null) don't care.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

const quiet = 2 // modules of white around the code; ISO 18004 wants 4, scanners take 2, terminals are small

// terminalQR draws text as a QR code, two rows of modules in a row of characters, in black on white
// whatever the terminal's own colours are.
func terminalQR(text string) (string, error) {
	code, err := qr.Encode(text, qr.L)
	if err != nil {
		return "", err
	}
	dark := func(x, y int) bool { return code.Black(x-quiet, y-quiet) } // outside is white
	size := code.Size + 2*quiet
	var b strings.Builder
	for y := 0; y < size; y += 2 {
		b.WriteString("    \x1b[30;107m")
		for x := range size {
			switch top, bottom := dark(x, y), dark(x, y+1); {
			case top && bottom:
				b.WriteRune('█')
			case top:
				b.WriteRune('▀')
			case bottom:
				b.WriteRune('▄')
			default:
				b.WriteByte(' ')
			}
		}
		b.WriteString("\x1b[0m\n")
	}
	return b.String(), nil
}
