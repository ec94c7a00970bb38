package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	spare   = 5 * time.Millisecond // between two requests of a connection, where polls take their share: a gateway with time left
	pollers = 16
)

// waitingComparison is one gateway at which nobody waits, and another at which thousands do, with
// the same page asked of both. They share the processor, as they do in all comparisons.
func (s *stage) waitingComparison(ctx context.Context) (comparison, error) {
	at, err := freeAddress()
	if err != nil {
		return comparison{}, err
	}
	crowded, err := s.startDoorward(ctx, at, "crowded", 0)
	if err != nil {
		return comparison{}, err
	}
	cookie, _, err := signIn(ctx, s.origin, at)
	if err != nil {
		return comparison{}, err
	}
	first, second := s.ourTarget(), s.target("crowded", crowded.pid(), at, "", "Cookie: "+cookie)
	first.name = "nobody waits"
	before, err := residentMemory(crowded.pid())
	if err != nil {
		return comparison{}, err
	}
	began := time.Now()
	crowd, err := s.gather(ctx, at)
	if err != nil {
		return comparison{}, err
	}
	after, err := residentMemory(crowded.pid())
	if err != nil {
		return comparison{}, err
	}
	fmt.Printf("%d sign-ins wait, begun within %s; resident memory grew by %.2f KB for each\n\n",
		len(crowd), time.Since(began).Round(time.Millisecond), float64(after-before)/1024/float64(len(crowd)))
	if s.options.polled {
		first.pause, second.pause = spare, spare
		s.poll(ctx, at, crowd)
	}
	return comparison{first: first, second: second, token: s.token, what: "p50", figure: p50Millis, goal: 1.05}, nil
}

// gather begins the waiting sign-ins, each from another address, and returns their cookies.
func (s *stage) gather(ctx context.Context, at string) ([]string, error) {
	crowd := make([]string, s.options.waiting)
	var next atomic.Int64
	var wg sync.WaitGroup
	failures := make(chan error, pollers)
	for range pollers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(crowd)); i = next.Add(1) - 1 {
				cookie, err := s.wait(ctx, at, int(i))
				if err != nil {
					failures <- err
					return
				}
				crowd[i] = cookie
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failures:
		return nil, err
	default:
		return crowd, nil
	}
}

func (s *stage) wait(ctx context.Context, at string, i int) (cookie string, err error) {
	form := url.Values{"login": {"tv"}, "rd": {"/tv"}}
	res, body, err := s.ask(ctx, http.MethodPost, at, "/oauth2/device", i, "", form)
	if err != nil {
		return "", err
	}
	if res.StatusCode != http.StatusCreated || len(res.Cookies()) == 0 {
		return "", fmt.Errorf("sign-in %d does not begin: %s %.200q", i, res.Status, body)
	}
	c := res.Cookies()[0]
	return c.Name + "=" + c.Value, nil
}

// poll has every sign-in asked about once in five seconds, until ctx ends.
func (s *stage) poll(ctx context.Context, at string, crowd []string) {
	turns := make(chan int, len(crowd))
	go func() {
		tick := time.NewTicker(5 * time.Second / time.Duration(len(crowd)))
		defer tick.Stop()
		for i := 0; ; i = (i + 1) % len(crowd) {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				turns <- i
			}
		}
	}()
	for range pollers {
		go func() {
			for i := range turns {
				res, body, err := s.ask(ctx, http.MethodGet, at, "/oauth2/device/poll", i, crowd[i], nil)
				var answer struct{ Status string }
				if err == nil && (json.Unmarshal(body, &answer) != nil || answer.Status != "pending") && res.StatusCode != http.StatusTooManyRequests {
					fmt.Printf("a poll is answered %s %.200q\n", res.Status, body)
				}
			}
		}()
	}
}

func (s *stage) ask(ctx context.Context, method, at, path string, i int, cookie string, form url.Values) (*http.Response, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+at+path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, nil, err
	}
	r.Host = strings.TrimPrefix(s.origin, "http://")
	r.Header.Set("Accept", "application/json")
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.%d.%d.%d", 18+i>>16, i>>8&0xff, i&0xff))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return res, body, err
}
