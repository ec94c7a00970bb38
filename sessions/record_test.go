package sessions

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/secret"
)

func fullRecord() record {
	at := func(s int64) time.Time { return time.UnixMilli(1_700_000_000_123 + 1000*s) }
	return record{
		id: digest{1, 2, 3}, created: at(0), seen: at(1), refreshed: at(2), ends: at(3), idle: 8 * time.Hour, refreshes: 7,
		who: &identity.Identity{
			Issuer: "https://sso.test/realms/main", Subject: "8f2c", Provider: "corp", Login: "staff", Machine: true, Client: "c",
			Email: "a@example.com", EmailVerified: true, Username: "alice", Name: "Älice", Groups: []string{"staff", "", "x,y"},
			Scopes: []string{"openid"}, ACR: "2", AMR: []string{"pwd", "otp"}, AuthTime: at(4), SID: "sid",
			Claims: identity.NewClaims([]byte(`{"sub":"8f2c","n":[1,2]}`)),
			Tokens: &identity.Tokens{
				AccessToken: secret.New("at"), RefreshToken: secret.New("rt"), IDToken: secret.New("idt"), TokenType: "Bearer",
				IssuedTokenType: "urn:x", Scope: "openid", ReceivedAt: at(5), Expiry: at(6), RefreshExpiry: at(7),
			},
		},
	}
}

// fields lists everything of a record that must come back, claims and secrets by content.
func fields(rec record) map[string]any {
	m := map[string]any{"claims": string(rec.who.Claims.Raw())}
	add := func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			f := v.Type().Field(i)
			switch x := v.Field(i); {
			case !f.IsExported(), f.Name == "Claims", f.Name == "Tokens":
			case f.Name == "Session", f.Name == "Ends": // they follow from the rest: TestAnIdentitySaysWhichSessionVouchesForIt
			case f.Type == reflect.TypeFor[time.Time]():
				m[prefix+f.Name] = x.Interface().(time.Time).UnixMilli()
			case f.Type == reflect.TypeFor[secret.String]():
				m[prefix+f.Name] = x.Interface().(secret.String).Reveal()
			default:
				m[prefix+f.Name] = x.Interface()
			}
		}
	}
	add("who.", reflect.ValueOf(rec.who).Elem())
	if rec.who.Tokens != nil {
		add("tokens.", reflect.ValueOf(rec.who.Tokens).Elem())
	}
	for name, t := range map[string]time.Time{"created": rec.created, "seen": rec.seen, "refreshed": rec.refreshed, "ends": rec.ends} {
		m[name] = t.UnixMilli()
	}
	m["id"], m["idle"], m["refreshes"] = rec.id, rec.idle, rec.refreshes
	return m
}

func TestEveryFieldOfARecordComesBack(t *testing.T) {
	rec := fullRecord()
	for name, v := range fields(rec) { // a field that is new must not be forgotten here or in encode
		if reflect.ValueOf(v).IsZero() {
			t.Errorf("%s is zero in this test", name)
		}
	}
	again, ok := decode(must(rec.encode())(t))
	if want, got := fields(rec), fields(again); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	bare := record{id: digest{9}, created: time.UnixMilli(5), who: &identity.Identity{Issuer: "i", Subject: "s"}}
	again, ok = decode(must(bare.encode())(t))
	if want, got := fields(bare), fields(again); !ok || !reflect.DeepEqual(got, want) || again.who.Tokens != nil || again.who.Groups != nil || !again.refreshed.IsZero() {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestOnlyAWholeRecordOfThisVersionIsOne(t *testing.T) {
	rec := fullRecord()
	good := must(rec.encode())(t)
	for n := range len(good) {
		if _, ok := decode(good[:n]); ok {
			t.Errorf("the first %d bytes are taken for a record", n)
		}
	}
	if _, ok := decode(append(bytes.Clone(good), 0)); ok {
		t.Error("a byte too many is not noticed")
	}
	for _, version := range []byte{0, 2, 255} {
		if _, ok := decode(append([]byte{version}, good[1:]...)); ok {
			t.Errorf("version %d is taken for ours", version)
		}
	}
}

// A record says how long its parts are. None of that is believed.
func TestLengthsAreNotBelieved(t *testing.T) {
	rec := fullRecord()
	good := must(rec.encode())(t)
	huge := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}
	for i := 17; i < len(good); i++ {
		bad := append(append(bytes.Clone(good[:i]), huge...), good[i:]...)
		if n := testing.AllocsPerRun(1, func() { decode(bad) }); n > 100 {
			t.Errorf("at byte %d: %v allocations", i, n)
		}
	}
}

func TestARecordIsCompactAndQuickToDecode(t *testing.T) {
	rec := fullRecord()
	rec.who.Tokens.AccessToken = secret.New(strings.Repeat("x", 1400))
	b := must(rec.encode())(t)
	if len(b) > 1400+350 {
		t.Errorf("%d bytes", len(b))
	}
	if n := testing.AllocsPerRun(100, func() { decode(b) }); n > 14 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecode(f *testing.F) {
	rec := fullRecord()
	good := must(rec.encode())(f)
	f.Add(good)
	f.Add(good[:40])
	f.Add([]byte{recordVersion})
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, ok := decode(b)
		if !ok {
			return
		}
		rec.session()
		rec.who.Claims.Map()
		again, err := rec.encode()
		if err != nil {
			return // shorter numbers in the original
		}
		twice, ok := decode(again)
		if !ok || !reflect.DeepEqual(fields(twice), fields(rec)) {
			t.Errorf("what was decoded does not come back: %v", fields(rec))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	rec := fullRecord()
	rec.who.Tokens.AccessToken, rec.who.Tokens.IDToken = secret.New(strings.Repeat("x", 1400)), secret.New(strings.Repeat("y", 1000))
	blob := must(rec.encode())(b)
	b.SetBytes(int64(len(blob)))
	b.ReportAllocs()
	for b.Loop() {
		decode(blob)
	}
}

func BenchmarkEncode(b *testing.B) {
	rec := fullRecord()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = rec.encode()
	}
}
