package provider

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParseObject(t *testing.T) {
	for name, row := range map[string]struct {
		text string
		ok   bool
	}{
		"empty object":                         {`{}`, true},
		"space around":                         {" {\n} ", true},
		"nested":                               {`{"a":{"b":[1,"x",null,{"c":true}]}}`, true},
		"same name at two depths":              {`{"a":{"a":1},"b":{"a":1}}`, true},
		"names that differ in case":            {`{"sub":"a","Sub":"b"}`, true},
		"S8 duplicate member":                  {`{"sub":"a","sub":"b"}`, false},
		"S8 duplicate member, escaped":         {`{"sub":"a","s\u0075b":"b"}`, false},
		"S8 duplicate member, both null":       {`{"sub":null,"sub":null}`, false},
		"S8 duplicate member deep inside":      {`{"a":[{"b":{"c":1,"c":1}}]}`, false},
		"S8 duplicate of a broken surrogate":   {`{"\ud800":1,"\udc00":1}`, false},
		"nothing":                              {``, false},
		"null":                                 {`null`, false},
		"an array":                             {`[]`, false},
		"a string":                             {`"x"`, false},
		"a number":                             {`1`, false},
		"two objects":                          {`{}{}`, false},
		"a comma after":                        {`{},`, false},
		"garbage after":                        {`{} x`, false},
		"a NUL after":                          {"{}\x00", false},
		"a trailing comma":                     {`{"a":1,}`, false},
		"no quotes":                            {`{a:1}`, false},
		"single quotes":                        {`{'a':1}`, false},
		"a comment":                            {`{/**/}`, false},
		"a missing value":                      {`{"a":}`, false},
		"a missing colon":                      {`{"a" 1}`, false},
		"a missing bracket":                    {`{"a":[1}`, false},
		"cut off":                              {`{"a":"b`, false},
		"NaN":                                  {`{"a":NaN}`, false},
		"a control character in a string":      {"{\"a\":\"\n\"}", false},
		"not UTF-8":                            {"{\"a\":\"\xff\"}", false},
		"a byte order mark":                    {"\ufeff{}", false},
		"P059 nested 32 deep":                  {strings.Repeat(`{"a":`, 31) + `{}` + strings.Repeat(`}`, 31), true},
		"P059 nested 33 deep":                  {strings.Repeat(`{"a":`, 32) + `{}` + strings.Repeat(`}`, 32), false},
		"P059 a million brackets":              {`{"a":` + strings.Repeat("[", 1_000_000), false},
		"P059 as many values as are allowed":   {`{"a":[` + strings.Repeat("1,", maxValues-3) + `1]}`, true},
		"P059 one value more than are allowed": {`{"a":[` + strings.Repeat("1,", maxValues-2) + `1]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			o, err := parseObject([]byte(row.text))
			if row.ok != (err == nil) || row.ok != (o != nil) {
				t.Fatalf("%v %v", o, err)
			}
			if err != nil && len(err.Error()) > 200 {
				t.Errorf("%d bytes of error", len(err.Error()))
			}
		})
	}
}

func TestMembers(t *testing.T) {
	o, err := parseObject([]byte(`{"s":"x","e":"","n":1,"f":1.5,"b":true,"null":null,"a":["x","y"],"holes":["x",null],"mixed":["x",1],"o":{},"q":"7","neg":-1,"big":1e300,"hex":"0x10","plus":"+1","inf":"Inf","late":253402300800,"max":253402300799,"exp":1.5e9}`))
	if err != nil {
		t.Fatal(err)
	}
	if o.has("null") || o.has("none") || !o.has("e") {
		t.Error("has")
	}
	for name, want := range map[string]string{"s": "x", "e": "", "null": "", "none": ""} {
		if got, err := o.str(name); err != nil || got != want {
			t.Errorf("str %s: %q %v", name, got, err)
		}
	}
	for _, name := range []string{"n", "b", "a", "o"} {
		if got, err := o.str(name); err == nil || o.text(name) != "" {
			t.Errorf("str %s: %q", name, got)
		}
	}
	for name, want := range map[string]string{"a": "[x y]", "null": "[]", "none": "[]"} {
		if got, err := o.strings(name, false); err != nil || fmt.Sprint(got) != want {
			t.Errorf("strings %s: %v %v", name, got, err)
		}
	}
	if got, err := o.strings("s", true); err != nil || fmt.Sprint(got) != "[x]" {
		t.Errorf("strings s: %v %v", got, err)
	}
	for _, name := range []string{"s", "holes", "mixed", "o", "n"} {
		if got, err := o.strings(name, false); err == nil {
			t.Errorf("strings %s: %v", name, got)
		}
	}
	if b, err := o.boolean("b"); err != nil || !b {
		t.Error("boolean b")
	}
	if b, err := o.boolean("none"); err != nil || b {
		t.Error("boolean none")
	}
	if _, err := o.boolean("s"); err == nil {
		t.Error("boolean s")
	}
	for name, want := range map[string]float64{"n": 1, "f": 1.5, "neg": -1, "big": 1e300} {
		if n, ok, err := o.number(name, false); err != nil || !ok || n != want {
			t.Errorf("number %s: %v %v %v", name, n, ok, err)
		}
	}
	if n, ok, err := o.number("q", true); err != nil || !ok || n != 7 {
		t.Errorf("number q: %v %v", n, err)
	}
	for _, name := range []string{"q", "s", "b", "a", "e"} {
		if n, ok, err := o.number(name, false); err == nil || ok {
			t.Errorf("number %s: %v", name, n)
		}
	}
	for _, name := range []string{"hex", "plus", "inf", "s", "e"} {
		if n, ok, err := o.number(name, true); err == nil || ok {
			t.Errorf("number in quotes %s: %v", name, n)
		}
	}
	for name, want := range map[string]time.Time{"f": time.Unix(1, 5e8), "exp": time.Unix(1_500_000_000, 0), "max": time.Unix(253402300799, 0)} {
		if at, ok, err := o.date(name); err != nil || !ok || !at.Equal(want) {
			t.Errorf("date %s: %v %v", name, at, err)
		}
	}
	for _, name := range []string{"neg", "late", "big", "q"} {
		if at, ok, err := o.date(name); err == nil || ok {
			t.Errorf("date %s: %v", name, at)
		}
	}
	if _, ok, err := o.date("none"); err != nil || ok {
		t.Error("date none")
	}
}

func TestTextForLogsIsHarmless(t *testing.T) {
	for _, s := range []string{"a\r\nlevel=ERROR", "\x1b[2J", "\u202eevil", "\x00", strings.Repeat("ä", 500), "\xff\xfe"} {
		got := shown(s)
		for _, c := range []byte(strings.TrimSuffix(got, "…")) {
			if c < ' ' || c > '~' {
				t.Errorf("%q is shown as %q", s, got)
			}
		}
		if len(got) > 1100 {
			t.Errorf("%d bytes of %d are shown", len(got), len(s))
		}
	}
	for s, want := range map[string]string{"invalid_grant": "invalid_grant", "a b": "", "a\"b": "", "a\\b": "", "ä": "", "": "", strings.Repeat("x", 65): ""} {
		if got := word(s); got != want {
			t.Errorf("%q becomes %q", s, got)
		}
	}
	for s, want := range map[string]string{"https://u:p@h/p?q=1#f": "https://h/p", "https://h?": "https://h", "%zz": "(unreadable URL)", "/a?b": "/a"} {
		if got := bare(s); got != want {
			t.Errorf("%q becomes %q", s, got)
		}
	}
	for s, want := range map[string]string{"email": "email", "a\u2028b": "", "a\nb": "", "a\u0085b": "", "a\x7f": "", strings.Repeat("x", 1025): "", "Ünïcode 名": "Ünïcode 名"} {
		if got := attribute(s); got != want {
			t.Errorf("%q becomes %q", s, got)
		}
	}
}

func TestKinds(t *testing.T) {
	for kind, want := range map[Kind]string{Unavailable: "unavailable", Refused: "refused", Misbehaved: "misbehaved", Misconfigured: "misconfigured", 9: "Kind(9)"} {
		if kind.String() != want {
			t.Errorf("%v, want %s", kind, want)
		}
	}
	if (&Error{}).Kind != Unavailable {
		t.Error("S7: an error that nobody sorted is answered with 503")
	}
}
