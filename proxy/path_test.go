package proxy

import (
	"net/url"
	"strings"
	"testing"
)

func TestPathsOfRealLifePassAsTheyAre(t *testing.T) {
	for _, raw := range []string{
		"/", "/a", "/a/", "/a/b.html", "/a/.well-known/x", "/.git/config", "/...a", "/a..b/c", "/..a", "/x/a..", "/~alice/", "/a:b@c!d$e&f'g(h)i*j+k,l=m~n",
		"/caf%C3%A9", "/caf%c3%a9", "/a%20b", "/a%2Bb", "/100%25", "/100%25off", "/file%2520name", "/%E2%82%AC", "/[1]", "/repo.git/info/refs", "/remote.php/dav/files/alice/",
		"/a;jsessionid=1", "/x/y;v=1;w=2/z", "/%7Ealice", "/%61dmin", "/a%3Ab", "/a%40b", "/a%7Cb", "/%F0%9F%98%80", "/" + strings.Repeat("a", 20000), "/a%22b", "/a%3Cb%3E",
	} {
		encoded, decoded, refusal := parsePath(raw)
		if refusal != "" {
			t.Errorf("%q is refused: %s", raw, refusal)
			continue
		}
		want, err := url.PathUnescape(raw)
		if encoded != raw || err != nil || decoded != want {
			t.Errorf("%q becomes %q and %q", raw, encoded, decoded)
		}
	}
}

func TestCharactersThatBrowsersLeaveRawAreEncoded(t *testing.T) {
	for raw, want := range map[string]string{
		"/a|b": "/a%7Cb", "/a^b": "/a%5Eb", `/a"b`: "/a%22b", "/{x}": "/%7Bx%7D", "/ü": "/%C3%BC", "/<b>": "/%3Cb%3E", "/`": "/%60",
	} {
		encoded, decoded, refusal := parsePath(raw)
		if encoded != want || decoded != raw || refusal != "" {
			t.Errorf("%q becomes %q and %q (%s)", raw, encoded, decoded, refusal)
		}
	}
}

var ambiguous = []string{
	"", "a", "admin/x", "http:x",
	"/public/../admin/x", "/public/..", "/..", "/.", "/./admin", "/a/.", "/a/./b", // P004
	"/public/%2e%2e/admin/x", "/public/.%2E/admin/x", "/%2e/x", "/public/%2E%2E", // P005
	"/public/..%2fadmin/x", "/public/..%2Fadmin/x", "/a%2fb", "/%2f", // P006
	"/public/..%5cadmin/x", `/public/..\admin/x`, `/\`, "/%5C", // P007
	"/public/%252e%252e%252fadmin/x", "/a%252Fb", "/a%25252fb", "/a%2500", "/a%255cb", "/%252E", // P008
	"/public/%25%32%65%25%32%65/admin", "/a%25%32%66b", "/a%2525%2532%2566b", "/a%25252525b", // P008, in pieces or in depth
	"/public/..;/admin/x", "/public/..;x=1/admin", "/.;/a", "/;/admin", "/;x/admin", "/a/;", "/a%3bb", "/%3B", // P009
	"//", "//admin", "/admin//x", "/a//", "///", // P010
	"/admin/x#/public/", "/a%23/bar", "/a?b", "/a%3fb", "/a%3F", // P002, P003
	"/a\x00b", "/a%00b", "/a%01", "/a%1f", "/a%7F", "/a\x7f", "/a%0d%0aX", "/a%0A", "/a b", "/a\tb", "/a%09",
	"/%", "/%2", "/%zz", "/a%", "/a%2", "/a%u0041", "/%-1", // bad escapes
	"/%ff", "/%c0%ae%c0%ae/admin", "/%E9", "/%c3", "/\xff", "/%ed%a0%80", // not UTF-8, overlong dots, surrogates
	"/public/..%20/admin", "/. /x", "/a/..%20%20", "/%20../x", "/a/.%20./x", "/a/..%20.", "/%20/admin", "/...", "/.../admin", "/a/%20%20", // Windows
}

func TestAmbiguousPathsAreRefused(t *testing.T) {
	for _, raw := range ambiguous {
		if encoded, decoded, refusal := parsePath(raw); refusal == "" {
			t.Errorf("%q becomes %q and %q", raw, encoded, decoded)
		} else if !strings.HasSuffix(refusal, ".") || encoded+decoded != "" {
			t.Errorf("%q: the refusal reads %q", raw, refusal)
		}
	}
}

func TestQueries(t *testing.T) {
	for _, q := range []string{"", "a=1&b=2", "a=1;b=2", "q=%20%C3%BC", "%00", "x=%2f..%2f", "a=b=c", "[]={}|^`\"<>", "\xc3\xbc", "?", "/../", "%ff"} {
		if refusal := checkQuery(q); refusal != "" {
			t.Errorf("%q is refused: %s", q, refusal)
		}
	}
	for _, q := range []string{"%", "%z", "%zz=4", "a=%2", "a b", "a\x00", "a\n", "a#b", "\x7f"} {
		if checkQuery(q) == "" {
			t.Errorf("P018 %q passes", q)
		}
	}
}

func TestTheLeastCarefulReadingOfAPath(t *testing.T) {
	for in, want := range map[string]string{"/a": "/a", "/a;x/b": "/a/b", "/a/b;x=1;y": "/a/b", "/a;/": "/a/", "/a.": "/a", "/a. /b. .": "/a/b", "/a.b/.c": "/a.b/.c", "/.../x": "//x"} {
		if got := lenient(in); got != want {
			t.Errorf("%q becomes %q, not %q", in, got, want)
		}
	}
}

// FuzzParsePath: what is accepted has one meaning. It is a fixed point, net/url decodes it
// to what was judged and writes it as it stands, and no reader finds a dot segment in it.
func FuzzParsePath(f *testing.F) {
	for _, s := range ambiguous {
		f.Add(s)
	}
	for _, s := range []string{"/", "/a%20b/ü|x", "/a;b/c", "/%2561", "/[a]^"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		encoded, decoded, refusal := parsePath(raw)
		if refusal != "" {
			return
		}
		again, same, refusal := parsePath(encoded)
		if again != encoded || same != decoded || refusal != "" {
			t.Fatalf("%q → %q → %q (%s)", raw, encoded, again, refusal)
		}
		u := url.URL{Scheme: "http", Host: "h", Path: decoded, RawPath: encoded}
		if u.EscapedPath() != encoded || u.RequestURI() != encoded {
			t.Fatalf("%q is written as %q", encoded, u.RequestURI())
		}
		if parsed, err := url.ParseRequestURI(encoded); err != nil || parsed.Path != decoded {
			t.Fatalf("%q is read as %v, %v", encoded, parsed, err)
		}
		if strings.Count(encoded, "/") != strings.Count(decoded, "/") {
			t.Fatalf("%q and %q have different segments", encoded, decoded)
		}
		for reading := decoded; ; {
			for _, segment := range strings.Split(lenient(reading), "/") {
				if segment == "." || segment == ".." {
					t.Fatalf("%q holds a dot segment in the reading %q", raw, reading)
				}
			}
			next, err := url.PathUnescape(reading)
			if err != nil || next == reading {
				break
			}
			if strings.Count(next, "/") != strings.Count(reading, "/") || strings.ContainsAny(next, "\\\x00") {
				t.Fatalf("%q changes its segments when decoded to %q", raw, next)
			}
			reading = next
		}
	})
}
