package flows

import (
	"strings"
	"testing"

	"github.com/doorward/doorward/internal/secret"
)

func TestAFileOfUsersIsReadAsHtpasswdWritesIt(t *testing.T) {
	text := "\ufeff# people\r\n\r\nbob:" + htpasswdB(t, "b") + "\r\n  \n#carol:$apr1$x$y\nälice@example.com:" + quick("a") // no line end
	all := must(readHtpasswd(User{Name: "team", Lines: []byte(text), Groups: []string{"staff"}}))(t)
	if len(all) != 2 || all[0].subject != "bob" || all[1].subject != "älice@example.com" || all[0].issuer != "urn:doorward:users:team" || all[1].groups[0] != "staff" {
		t.Fatalf("%+v", all)
	}
	if !all[0].hash.matches([]byte("b")) || !all[1].hash.matches([]byte("a")) || all[0].hash.matches([]byte("a")) {
		t.Error("passwords are mixed up")
	}
}

func TestWhatIsWrongInAFileIsNamedByItsLine(t *testing.T) {
	good := ":" + quick("x")
	for name, c := range map[string]struct{ lines, want string }{
		"MD5":              {"a" + good + "\nbob:$apr1$Zz$0123456789012345678901", `htpasswd: line 2: user "bob": MD5 (apr1) is not accepted`},
		"how to mend":      {"bob:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "htpasswd -B"},
		"plain":            {"bob:hunter2", "line 1"},
		"twice":            {"a" + good + "\n\nb" + good + "\na" + good, `line 4: user "a" stands in line 1 already`},
		"no colon":         {"a" + good + "\nbob", "line 2: there is no colon"},
		"no name":          {good, "line 1"},
		"a space":          {"bob " + good, "line 1"},
		"a control":        {"b\tb" + good, "line 1"},
		"no text":          {"b\xff" + good, "line 1"},
		"too long":         {strings.Repeat("x", 256) + good, "longer than 255"},
		"a ticket":         {"dw1.x" + good, "ticket"},
		"a third field":    {"bob" + good + ":more", "line 1"},
		"nobody":           {"# nobody\n", "names no user"},
		"nothing":          {"", "names no user"},
		"more than a file": {strings.Repeat("#\n", maxHtpasswd/2+1), "larger than 8 MiB"},
	} {
		_, err := readHtpasswd(User{Name: "team", Lines: []byte(c.lines)})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "htpasswd: ") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUsersAreCheckedWithTheConfiguration(t *testing.T) {
	hash := secret.New(quick("x"))
	for name, c := range map[string]struct {
		user User
		want string
	}{
		"weak":    {User{Name: "bob", Hash: secret.New("hunter2")}, "password: plain text"},
		"neither": {User{Name: "bob"}, "password: "},
		"both":    {User{Name: "bob", Hash: hash, Lines: []byte("a:b")}, "password: "},
		"no name": {User{Hash: hash}, "name: "},
		"a file":  {User{Name: "team", Lines: []byte("bob:x")}, "htpasswd: line 1"},
	} {
		if err := CheckUser(c.user); err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckUser(User{Name: "bob", Hash: hash}); err != nil {
		t.Error(err)
	}
	f := newWorld(t).flows
	if err := f.addUsers([]User{{Name: "bob", Hash: hash}, {Name: "bob", Hash: hash}}); err == nil {
		t.Error("two of a name")
	}
	if err := f.addUsers([]User{{Name: "bob", Hash: secret.New("x")}}); err == nil || !strings.HasPrefix(err.Error(), "users.bob: password: ") {
		t.Error(err)
	}
}

func FuzzHtpasswd(f *testing.F) {
	f.Add([]byte("bob:" + quick("x") + "\n# c\n"))
	f.Add([]byte("a:$2y$06$If6bvum7DFjUnE9p2uDeDu0YHzrHM6tf.iqN8.yx.jNN1ILEf7h0i\na:"))
	f.Fuzz(func(t *testing.T, lines []byte) {
		all, err := readHtpasswd(User{Name: "team", Lines: lines})
		if err != nil {
			if all != nil || !strings.HasPrefix(err.Error(), "htpasswd: ") {
				t.Error(err)
			}
			return
		}
		seen := make(map[string]bool)
		for _, u := range all {
			if seen[u.subject] || checkLocalName(u.subject) != nil || u.hash == nil || u.issuer != IssuerUsers+":team" {
				t.Errorf("%+v", u)
			}
			seen[u.subject] = true
		}
	})
}
