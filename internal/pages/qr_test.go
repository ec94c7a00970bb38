package pages

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rsc.io/qr"
)

var (
	drawing = regexp.MustCompile(`M(\d+) (\d+)\.5|m(\d+) 0|h(\d+)`)
	onlyQR  = regexp.MustCompile(`^(?:M\d+ \d+\.5h\d+(?:m\d+ 0h\d+)*)+$`)
)

// modules does what a browser does with the path: it returns which modules are dark.
func modules(t testing.TB, c *qrCode) map[[2]int]bool {
	t.Helper()
	if !onlyQR.MatchString(c.Path) {
		t.Fatalf("no path of ours: %.200s", c.Path)
	}
	dark := map[[2]int]bool{}
	x, y := 0, 0
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, m := range drawing.FindAllStringSubmatch(c.Path, -1) {
		switch {
		case m[1] != "":
			x, y = number(m[1]), number(m[2])
		case m[3] != "":
			x += number(m[3])
		default:
			for range number(m[4]) {
				if dark[[2]int{x, y}] {
					t.Fatalf("the module %d,%d is drawn twice", x, y)
				}
				dark[[2]int{x, y}] = true
				x++
			}
		}
	}
	return dark
}

func checkQR(t testing.TB, address string, c *qrCode) {
	t.Helper()
	level := qr.M
	if len(address) > 200 {
		level = qr.L
	}
	want, err := qr.Encode(address, level)
	if err != nil {
		t.Fatal(err)
	}
	if c.Size != want.Size+8 {
		t.Fatalf("%d modules with a quiet zone of four, of %d", c.Size, want.Size)
	}
	dark := modules(t, c)
	for y := -4; y < want.Size+4; y++ {
		for x := -4; x < want.Size+4; x++ {
			if dark[[2]int{x + 4, y + 4}] != want.Black(x, y) {
				t.Fatalf("the module %d,%d is wrong", x, y)
			}
		}
	}
}

func TestEachModuleOfAQRCodeIsDrawnAndTheQuietZoneIsEmpty(t *testing.T) {
	for _, address := range []string{"https://sso.example.com/device?user_code=WDJB-MJHT", "x", strings.Repeat("a", 200), strings.Repeat("a", 201), "https://e.test/" + strings.Repeat("%", maxQR-15)} {
		c := encodeQR(address)
		if c == nil {
			t.Fatalf("no code of %d bytes", len(address))
		}
		checkQR(t, address, c)
		if len(c.Path) > 14_000 {
			t.Errorf("S18: %d bytes of path for %d of address", len(c.Path), len(address))
		}
	}
}

func TestP159NoQRCodeOfWhatIsNoAddress(t *testing.T) {
	for _, address := range []string{"", "https://é.test/", "https://a.test/\n", "https://a.test/ b", "https://a.test/\u202e", "\xff", "https://a.test/\x00", strings.Repeat("a", maxQR+1), strings.Repeat("a", 10_000)} {
		if encodeQR(address) != nil {
			t.Errorf("a code of %.40q", address)
		}
	}
}

func TestTheQRCodeIsWellFormedXMLAndBlackOnWhite(t *testing.T) {
	p := newPages(t)
	a := ask(t, func(w http.ResponseWriter, r *http.Request) { p.DeviceCode(w, r, deviceCode(pending)) }, http.MethodGet, navigation...)
	i, j := strings.Index(a.body, `<svg class="qr"`), strings.LastIndex(a.body, "</svg>")
	if i < 0 || j < i {
		t.Fatal("no QR code on the page")
	}
	picture := a.body[i : j+len("</svg>")]
	d := xml.NewDecoder(strings.NewReader(picture))
	d.Strict = true
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v in %s", err, picture)
		}
	}
	c := encodeQR("https://sso.example.com/device?user_code=WDJB-MJHT")
	if want := fmt.Sprintf(`<path fill="#fff" d="M0 0h%dv%dH0z"/><path stroke="#000" d="%s"/>`, c.Size, c.Size, c.Path); !strings.Contains(picture, want) {
		t.Errorf("it isn't the code, dark on white in every colour scheme: %s", picture)
	}
}

func FuzzQR(f *testing.F) {
	for _, s := range []string{"https://sso.example.com/device?user_code=WDJB-MJHT", "0123", "ABC", "é", strings.Repeat("x", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, address string) {
		if c := encodeQR(address); c != nil {
			checkQR(t, address, c)
		}
	})
}
