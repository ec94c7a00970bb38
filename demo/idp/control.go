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
			list = append(list, map[string]any{"client_id": d.ClientID, "uri": d.URI, "status": d.Status, "error": fmt.Sprint(d.Err)})
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
	default:
		http.NotFound(w, r)
		return
	}
	w.WriteHeader(http.StatusNoContent)
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
