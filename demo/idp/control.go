package idp

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

const controlPrefix = "/_control/"

// serveControl lets a test in another process misbehave this provider: with Config.Control only.
//
//	POST /_control/misbehave   {"name":"wrong_nonce"} or any Sin, or a list of them; a name of the
//	                           catalogue alone, with endpoint, times, skip or when, means that sin
//	POST /_control/heal        end all misbehaviour
//	POST /_control/release     let hanging requests go
//	POST /_control/rotate      new signing keys
//	POST /_control/logout      ?user=NAME: back-channel logout; answers the deliveries
//	POST /_control/reset       forget the recorded requests
//	POST /_control/device      ?user_code=CODE&user=NAME: approve a device; &deny=1: deny it
//	POST /_control/ciba        ?id=ID, of ciba below: approve a request, and ping or push; &deny=1: deny it
//	POST /_control/notify      ?id=ID: send its ping or push now, whatever its state; answers the delivery
//	POST /_control/mint        {"User":"alice","Audience":["orders"],…}, a Mint: answers {"token":"…"}
//	POST /_control/end         ?token=TOKEN or ?sub=SUBJECT: revoke an access token, or all of a subject's
//	GET  /_control/devices     the device authorizations that wait
//	GET  /_control/ciba        the authentication requests that wait; ?user=NAME
//	GET  /_control/requests    the recorded requests, secrets included; ?endpoint=token
//
// Browsers are refused, so that no page can steer a provider on this machine.
func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" {
		http.Error(w, "not for browsers", http.StatusForbidden)
		return
	}
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, controlPrefix) {
	case "POST misbehave":
		sins, err := decodeSins(http.MaxBytesReader(w, r.Body, maxRequest))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.Misbehave(sins...)
	case "POST heal":
		s.Heal()
	case "POST release":
		s.Release()
	case "POST reset":
		s.ResetRequests()
	case "POST rotate":
		if err := s.RotateKeys(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	case "POST logout":
		deliveries, err := s.BackchannelLogout(r.Context(), r.URL.Query().Get("user"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		list := []map[string]any{}
		for _, d := range deliveries {
			list = append(list, d.members())
		}
		writeControl(w, list)
		return
	case "GET requests":
		var endpoints []string
		if e := r.URL.Query().Get("endpoint"); e != "" {
			endpoints = append(endpoints, e)
		}
		writeControl(w, s.Requests(endpoints...))
		return
	case "POST mint":
		s.controlMint(w, r)
		return
	case "POST end":
		if q := r.URL.Query(); !s.EndToken(q.Get("token")) && s.EndSubject(q.Get("sub")) == 0 {
			http.Error(w, "there is no such token", http.StatusBadRequest)
			return
		}
	default:
		s.controlPeople(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) controlMint(w http.ResponseWriter, r *http.Request) {
	var m Mint
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&m)
	value := ""
	if err == nil {
		value, err = s.Mint(m)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeControl(w, map[string]any{"token": value})
}

// controlPeople does what people do on their devices.
func (s *Server) controlPeople(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var (
		answer any
		err    error
	)
	switch r.Method + " " + strings.TrimPrefix(r.URL.Path, controlPrefix) {
	case "POST device":
		if q.Has("deny") {
			err = s.DenyDevice(q.Get("user_code"))
		} else {
			err = s.ApproveDevice(q.Get("user_code"), q.Get("user"))
		}
	case "POST ciba":
		var d Delivery
		d, err = s.decideCIBA(r.Context(), q.Get("id"), !q.Has("deny"))
		answer = d.members()
	case "POST notify":
		var d Delivery
		d, err = s.Notify(r.Context(), q.Get("id"))
		answer = d.members()
	case "GET devices":
		answer = append([]PendingDevice{}, s.PendingDevices()...)
	case "GET ciba":
		answer = append([]PendingCIBA{}, s.PendingCIBA(q.Get("user"))...)
	default:
		http.NotFound(w, r)
		return
	}
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case answer == nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		writeControl(w, answer)
	}
}

func (d Delivery) members() map[string]any {
	return map[string]any{"client_id": d.ClientID, "uri": d.URI, "status": d.Status, "error": fmt.Sprint(d.Err)}
}

func writeControl(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// decodeSins reads one sin or a list, strictly: a misspelt sin that does nothing would make a test pass.
func decodeSins(body io.Reader) ([]Sin, error) {
	raw, err := io.ReadAll(body)
	if err != nil {
		return nil, err
	}
	text := strings.TrimSpace(string(raw))
	if !strings.HasPrefix(text, "[") {
		text = "[" + text + "]"
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	var sins []Sin
	if err := decoder.Decode(&sins); err != nil {
		return nil, err
	}
	for i, sin := range sins {
		if sins[i], err = sin.resolve(); err != nil {
			return nil, err
		}
	}
	return sins, nil
}
