package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/doorward/doorward/internal/identity"
	"github.com/doorward/doorward/internal/origin"
	"github.com/doorward/doorward/internal/seal"
	"github.com/doorward/doorward/internal/secret"
	"github.com/doorward/doorward/sessions"
	"github.com/doorward/doorward/sessions/store"
)

const (
	compareSessions = "sessions"
	fewSessions     = 10
	sessionToken    = 600 // bytes of an access token
	// writersAtOnce lets the store write many sessions with one sync.
	writersAtOnce = 256
)

// sessionsComparison has two gateways over files with few sessions and with many. In turn they are asked in the name of
// some of those who are signed in: of all few, and of so many of the many.
func (s *stage) sessionsComparison(ctx context.Context) (comparison, error) {
	if s.options.store != "bolt" {
		return comparison{}, fmt.Errorf("-compare %s: only with -store bolt: a file is what holds so many", compareSessions)
	}
	few, err := s.crowdedTarget(ctx, "few", fewSessions, fewSessions, 0)
	if err != nil {
		return comparison{}, err
	}
	many, err := s.crowdedTarget(ctx, "many", s.options.sessions, s.options.active, 0)
	if err != nil {
		return comparison{}, err
	}
	few.name, many.name = fmt.Sprintf("%d sessions", fewSessions), fmt.Sprintf("%d sessions", s.options.sessions)
	return comparison{first: few, second: many, token: strings.Repeat("x", sessionToken), what: "CPU per request", figure: micros, goal: tokenGoal, cached: true}, nil
}

// crowdedTarget fills a file with sessions, and starts a gateway over it that has further routes. Each session that takes part has
// been used once: what its first request costs, and noting that it is in use, is of the past.
func (s *stage) crowdedTarget(ctx context.Context, name string, count, active, routes int) (*target, error) {
	at, err := freeAddress()
	if err != nil {
		return nil, err
	}
	here := s.origin
	defer func() { s.origin = here }()
	s.origin = "http://localhost" + at[strings.LastIndexByte(at, ':'):]
	cookies, err := s.fillStore(ctx, name, count, active)
	if err != nil {
		return nil, err
	}
	c, err := s.startDoorward(ctx, at, name, routes)
	if err != nil {
		return nil, err
	}
	var t *target
	for _, cookie := range cookies {
		one := s.target(name, c.pid(), at, "", "Cookie: "+cookie)
		if t == nil {
			t = one
		}
		t.others = append(t.others, one.request)
	}
	return t, t.visit(ctx)
}

// visit makes each of the requests that take turns once.
func (t *target) visit(ctx context.Context) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", t.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Minute))
	r := bufio.NewReaderSize(conn, 16<<10)
	for _, request := range t.others {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		if err := t.readAnswer(r); err != nil {
			return err
		}
	}
	return nil
}

// fillStore signs people in by the keeper of sessions itself, without a provider, and returns the cookies of some of
// them, from all over.
func (s *stage) fillStore(ctx context.Context, name string, count, active int) (cookies []string, err error) {
	began := time.Now()
	dir := filepath.Join(s.dir, name)
	disk, err := store.OpenBolt(store.BoltConfig{Path: filepath.Join(dir, "doorward.db")}, store.Deps{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	keys, err := seal.LoadOrCreate(filepath.Join(dir, "keys"))
	if err != nil {
		return nil, err
	}
	ring, err := seal.New(keys...)
	if err != nil {
		return nil, err
	}
	here, err := origin.Parse(s.origin)
	if err != nil {
		return nil, err
	}
	origins, err := origin.NewSet(here)
	if err != nil {
		return nil, err
	}
	keeper, err := sessions.New(sessions.Config{Idle: 8 * time.Hour, Lifetime: 24 * time.Hour, Cookie: sessions.Cookie{Name: "doorward", SameSite: http.SameSiteLaxMode}},
		sessions.Deps{Sessions: disk, Shared: disk, Ring: ring, Origins: origins})
	if err != nil {
		return nil, err
	}
	defer keeper.Close()
	chosen := make([]string, count)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(writersAtOnce)
	for i := range count {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			w := httptest.NewRecorder()
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, s.origin+"/", nil)
			if _, err := keeper.Start(w, r, s.somebody(i)); err != nil {
				return err
			}
			if i%(count/active) == 0 {
				chosen[i] = strings.SplitN(w.Header().Get("Set-Cookie"), ";", 2)[0]
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, c := range chosen {
		if c != "" {
			cookies = append(cookies, c)
		}
	}
	fmt.Printf("%d sessions written in %s\n", count, time.Since(began).Round(time.Second))
	return cookies, nil
}

func (s *stage) somebody(i int) *identity.Identity {
	var random [sessionToken / 4 * 3]byte
	_, _ = rand.Read(random[:])
	claims := identity.NewClaims([]byte(`{"groups":["staff"],"department":"sales"}`))
	return &identity.Identity{
		Issuer: s.issuer, Subject: fmt.Sprintf("person-%d", i), Provider: "bench", Login: "staff", Client: "doorward",
		Email: fmt.Sprintf("person-%d@example.com", i), EmailVerified: true, Username: fmt.Sprintf("person-%d", i), Groups: []string{"staff"}, Claims: claims,
		Tokens: &identity.Tokens{AccessToken: secret.New(base64.RawURLEncoding.EncodeToString(random[:])), TokenType: "Bearer", Expiry: time.Now().Add(12 * time.Hour)},
	}
}
