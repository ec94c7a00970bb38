package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// ask puts a question. Whatever does not say yes or no in so many words is an error.
func (h *hook) ask(ctx context.Context, question []byte) (hookAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	if err := h.wait(ctx); err != nil {
		return hookAnswer{}, err
	}
	defer func() { <-h.places }()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(question))
	if err != nil {
		return hookAnswer{}, err
	}
	r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}, "User-Agent": {"doorward"}}
	if h.authorization != nil {
		r.Header[headerAuthorization] = h.authorization
	}
	res, err := h.client.Do(r)
	if err != nil {
		return hookAnswer{}, withoutURL(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, hookMost+1))
	switch {
	case err != nil:
		return hookAnswer{}, fmt.Errorf("the answer broke off: %w", err)
	case res.StatusCode != http.StatusOK:
		return hookAnswer{}, fmt.Errorf("it answered %d", res.StatusCode)
	case len(body) > hookMost:
		return hookAnswer{}, fmt.Errorf("its answer has more than %d KiB", hookMost>>10)
	}
	return readAnswer(body)
}

// wait waits for a place. That many do is refused at once: a question outlives a client that has gone.
func (h *hook) wait(ctx context.Context) error {
	select {
	case h.places <- struct{}{}:
		return nil
	default:
	}
	defer h.waiting.Add(-1)
	if h.waiting.Add(1) > hookWaiting {
		return fmt.Errorf("%d questions wait already", hookWaiting)
	}
	select {
	case h.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d questions are under way already: %w", hookAtATime, context.Cause(ctx))
	}
}

func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

var (
	errNoResult  = errors.New("the result is undefined: there is no such rule, or it has no default")
	errNoVerdict = errors.New("the result is neither true, false nor an object with allow")
)

// readAnswer reads {"result": true}, or {"result": {"allow": true, "reason": "…"}}. A name that stands there twice, or in
// other letters, is not read: somebody else might read it otherwise.
func readAnswer(body []byte) (a hookAnswer, err error) {
	answer, err := membersOf(body)
	if err != nil {
		return a, err
	}
	result, ok := answer["result"]
	if !ok {
		return a, errNoResult
	}
	if a.allow, ok = truth(result); ok {
		return a, nil
	}
	decision, err := membersOf(result)
	if err != nil {
		return a, errNoVerdict
	}
	if a.allow, ok = truth(decision["allow"]); !ok {
		return hookAnswer{}, errNoVerdict
	}
	_ = json.Unmarshal(decision["reason"], &a.reason)                     // of another type it is none
	a.reason = strings.Clone(a.reason[:min(len(a.reason), hookReason+1)]) // as much of it is kept as long as the answer is
	return a, nil
}

func truth(text json.RawMessage) (value, ok bool) {
	switch string(text) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

var errNoObject = errors.New("the answer is no JSON object with each name once")

// membersOf reads an object.
func membersOf(text []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errNoObject
	}
	all := make(map[string]json.RawMessage)
	for d.More() {
		name, err := d.Token()
		key, ok := name.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			return nil, errNoObject
		}
		if _, twice := all[key]; twice {
			return nil, errNoObject
		}
		all[key] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, errNoObject
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errNoObject
	}
	return all, nil
}
