package idp

import (
	"crypto/sha256"
	"crypto/subtle"
	"slices"
	"strings"
	"time"
)

// failures is what somebody has got wrong in a row.
type failures struct {
	count int
	until time.Time // locked out until then
}

// person finds a user by name or e-mail address, whatever the case, as Keycloak does. A name beats an address.
func (s *Server) person(login string) *User {
	if user := s.users[login]; user != nil {
		return user
	}
	for _, of := range []func(*User) string{
		func(u *User) string { return u.Username },
		func(u *User) string { return u.Email },
	} {
		for i := range s.config.Users {
			if user := &s.config.Users[i]; of(user) != "" && strings.EqualFold(of(user), login) {
				return user
			}
		}
	}
	return nil
}

func (s *Server) bySubject(subject string) *User {
	for i := range s.config.Users {
		if user := &s.config.Users[i]; user.Subject == subject {
			return user
		}
	}
	return nil
}

// authenticate returns the user, or nil: the same for an unknown user, a wrong password, a wrong
// one-time code and somebody who is locked out, and by the same path.
func (s *Server) authenticate(login, password, otp string) *User {
	user := s.person(login)
	known := user != nil
	if !known {
		user = &User{Password: random()}
	}
	right := same(user.Password, password)
	if user.OTP != "" {
		right = same(user.OTP, otp) && right
	}
	if !s.mayTry(user, right && known) {
		return nil
	}
	return user
}

// mayTry counts a try, right or wrong, and reports whether it lets the person in.
func (s *Server) mayTry(user *User, right bool) bool {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	f, now := s.state.failures[user.Subject], s.now()
	if f == nil {
		f = &failures{}
	}
	if now.Before(f.until) {
		return false
	}
	if right {
		delete(s.state.failures, user.Subject)
		return true
	}
	if s.users[user.Username] == nil { // nobody: nothing to remember
		return false
	}
	f.count++
	if s.config.LockAfter > 0 && f.count >= s.config.LockAfter {
		f.count, f.until = 0, now.Add(s.config.LockFor)
	}
	s.state.failures[user.Subject] = f
	return false
}

// Locked reports whether a user is locked out by wrong passwords at this moment.
func (s *Server) Locked(username string) bool {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	user := s.users[username]
	if user == nil {
		return false
	}
	f := s.state.failures[user.Subject]
	return f != nil && s.now().Before(f.until)
}

// same compares in constant time.
func same(want, got string) bool {
	a, b := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(got))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

func (s *Server) usesOTP() bool {
	return slices.ContainsFunc(s.config.Users, func(u User) bool { return u.OTP != "" })
}
