package flows

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"

	"github.com/doorward/doorward/internal/secret"
)

// quick is an argon2id hash that costs next to nothing.
func quick(password string) string {
	b64 := base64.RawStdEncoding.EncodeToString
	salt := []byte("8 bytes+")
	return fmt.Sprintf("$argon2id$v=19$m=8,t=1,p=1$%s$%s", b64(salt), b64(argon2.IDKey([]byte(password), salt, 1, 8, 1, 16)))
}

// htpasswdB is a hash as `htpasswd -B` writes it.
func htpasswdB(t testing.TB, password string) string {
	t.Helper()
	hash := must(bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost))(t)
	return "$2y$" + strings.TrimPrefix(string(hash), "$2a$")
}

func TestHashesOfOthersAreUnderstood(t *testing.T) {
	for name, c := range map[string]struct{ password, hash string }{
		"argon2 of the reference, t=2 m=64MiB p=1": {"password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
		"argon2 of the reference, t=2 m=256 p=2":   {"password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"},
		"bcrypt 2a":                                {"abc", "$2a$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"},
		"bcrypt 2y":                                {"abc", "$2y$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"},
		"bcrypt 2b":                                {"abc", "$2b$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i"},
		"our own":                                  {"grüße und küsse", must(HashPassword(secret.New("grüße und küsse")))(t)},
		"htpasswd":                                 {"x", htpasswdB(t, "x")},
	} {
		t.Run(name, func(t *testing.T) {
			h := must(parseHash(c.hash))(t)
			if !h.matches([]byte(c.password)) {
				t.Error("the right password is refused")
			}
			for _, wrong := range []string{"", c.password + "x", c.password[1:], strings.ToUpper(c.password), c.password + "\x00"} {
				if h.matches([]byte(wrong)) {
					t.Errorf("%q is taken", wrong)
				}
			}
		})
	}
}

func TestBcryptDoesNotForgetTheEndOfALongPassword(t *testing.T) {
	long := strings.Repeat("p", maxBcryptInput)
	h := must(parseHash(htpasswdB(t, long)))(t)
	if !h.matches([]byte(long)) {
		t.Error("72 bytes are refused")
	}
	if h.matches([]byte(long + "and anything at all")) {
		t.Error("what comes behind 72 bytes does not matter")
	}
}

func TestHashesThatAreWeakOrTooDearAreRefusedByName(t *testing.T) {
	b64 := base64.RawStdEncoding.EncodeToString
	phc := func(kind, version, costs string, salt, sum int) string {
		return "$" + kind + "$" + version + "$" + costs + "$" + b64(make([]byte, salt)) + "$" + b64(make([]byte, sum))
	}
	good := phc("argon2id", "v=19", "m=8,t=1,p=1", 8, 16)
	must(parseHash(good))(t)
	must(parseHash(phc("argon2id", "v=19", "m=262144,t=16,p=16", 64, 64)))(t)
	for name, c := range map[string]struct{ hash, want string }{
		"apr1":                {"$apr1$x$yyyyyyyyyyyyyyyyyyyyyy", "htpasswd -B"},
		"MD5":                 {"$1$x$yyyyyyyyyyyyyyyyyyyyyy", "MD5"},
		"SHA-1":               {"{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "htpasswd -B"},
		"SHA-512 crypt":       {"$6$x$y", "SHA-512"},
		"DES crypt":           {"rqXexS6ZhobKA", "htpasswd -B"},
		"plain text":          {"hunter2", "plain text"},
		"empty":               {"", "plain text"},
		"bcrypt 2x":           {"$2x$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", "2x"},
		"bcrypt too dear":     {"$2y$16$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", "cost is 16"},
		"bcrypt cut":          {"$2y$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0", "60 characters"},
		"bcrypt of elsewhere": {"$2y$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h+i", "60 characters"},
		"bcrypt without $":    {"$2y$06xIf6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i", "60 characters"},
		"argon2i":             {phc("argon2i", "v=19", "m=8,t=1,p=1", 8, 16), "argon2id"},
		"argon2d":             {phc("argon2d", "v=19", "m=8,t=1,p=1", 8, 16), "argon2id"},
		"old version":         {phc("argon2id", "v=16", "m=8,t=1,p=1", 8, 16), "v=19"},
		"memory":              {phc("argon2id", "v=19", "m=262145,t=1,p=1", 8, 16), "262144"},
		"passes":              {phc("argon2id", "v=19", "m=8,t=17,p=1", 8, 16), "t=1 to 16"},
		"lanes":               {phc("argon2id", "v=19", "m=1024,t=1,p=17", 8, 16), "p=1 to 16"},
		"no passes":           {phc("argon2id", "v=19", "m=8,t=0,p=1", 8, 16), "t=1 to 16"},
		"another order":       {phc("argon2id", "v=19", "t=1,m=8,p=1", 8, 16), "in this order"},
		"twice":               {phc("argon2id", "v=19", "m=8,m=8,t=1,p=1", 8, 16), "is written as"},
		"a sign":              {phc("argon2id", "v=19", "m=+8,t=1,p=1", 8, 16), "in this order"},
		"less than RFC 9106":  {phc("argon2id", "v=19", "m=8,t=1,p=2", 8, 16), "§3.1"},
		"a short salt":        {phc("argon2id", "v=19", "m=8,t=1,p=1", 7, 16), "8 to 64"},
		"a short result":      {phc("argon2id", "v=19", "m=8,t=1,p=1", 8, 15), "16 to 64"},
		"a long result":       {phc("argon2id", "v=19", "m=8,t=1,p=1", 8, 65), "16 to 64"},
		"padding":             {good + "==", "is written as"},
		"a line break":        {good[:len(good)-1] + "\n" + good[len(good)-1:], "is written as"},
		"one part more":       {good + "$x", "is written as"},
	} {
		_, err := parseHash(c.hash)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && len(c.hash) > 4 && strings.Contains(err.Error(), c.hash) {
			t.Errorf("%s: the error shows it", name)
		}
	}
}

func TestNewHashesDifferAndBadPasswordsHaveNone(t *testing.T) {
	one, two := must(HashPassword(secret.New("x")))(t), must(HashPassword(secret.New("x")))(t)
	if one == two || !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Error(one, two)
	}
	for _, bad := range []string{"", strings.Repeat("x", maxTyped+1), "a\tb", "a\xff"} {
		if _, err := HashPassword(secret.New(bad)); err == nil {
			t.Errorf("%q has a hash, and nobody could send it", bad)
		}
	}
}

func FuzzHash(f *testing.F) {
	f.Add(quick("x"))
	f.Add("$2y$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i")
	f.Add("$argon2id$v=19$m=262144,t=16,p=16$AAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAA")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHash(text)
		if err != nil {
			return
		}
		if a, ok := h.(*argon2id); ok && (a.memory > maxArgonMemory || a.time > maxArgonTime || a.lanes > maxArgonLanes || a.memory < 8*uint32(a.lanes) || a.time == 0 || a.lanes == 0) {
			t.Errorf("%+v", a)
		}
		if b, ok := h.(bcryptHash); ok {
			if n, err := bcrypt.Cost(b); err != nil || n > maxBcryptCost {
				t.Errorf("cost %d, %v", n, err)
			}
		}
	})
}

func BenchmarkHash(b *testing.B) {
	h := must(parseHash(must(HashPassword(secret.New("x")))(b)))(b)
	b.ReportAllocs()
	for b.Loop() {
		h.matches([]byte("y"))
	}
}
