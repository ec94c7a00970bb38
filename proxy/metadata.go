package proxy

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/doorward/doorward/internal/origin"
)

// protectedResourcePath is where RFC 9728 §3 puts the metadata of a protected resource: in front of the resource's own path.
const protectedResourcePath = "/.well-known/oauth-protected-resource"

// protectedResource tells clients where to get tokens for a route, and which (RFC 9728 §2).
type protectedResource struct {
	Resource     string   `json:"resource"`
	Servers      []string `json:"authorization_servers,omitempty"`
	Scopes       []string `json:"scopes_supported,omitempty"`
	Methods      []string `json:"bearer_methods_supported"`
	Name         string   `json:"resource_name,omitempty"`
	Certificates bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	DPoP         []string `json:"dpop_signing_alg_values_supported,omitempty"`
}

type resourceKey struct {
	origin origin.Origin
	path   string // of the document
}

// resources are the metadata documents of all routes that accept bearer tokens, nil where there are none.
type resources map[resourceKey][]byte

func newMetadata(routes []*route, c Config, sites map[origin.Origin]*site) (resources, error) {
	all := make(map[resourceKey]*protectedResource)
	add := func(rt *route, rc Route, o origin.Origin) {
		key := resourceKey{o, rt.metadataPath}
		doc := all[key]
		if doc == nil {
			doc = &protectedResource{
				Resource: sites[o].origin + strings.TrimPrefix(rt.metadataPath, protectedResourcePath), Methods: []string{"header"}, Name: rt.name,
				Certificates: rc.Bearer.Certificates || c.CertificateHeader != "", DPoP: rc.Bearer.DPoPAlgorithms,
			}
			all[key] = doc
		}
		doc.Servers = union(doc.Servers, rc.Bearer.Issuers) // several routes of one address are told apart by method
		doc.Scopes = union(doc.Scopes, rt.policy.Scopes())
	}
	for i, rt := range routes {
		if rt.callers.bearer == nil {
			continue
		}
		hosts := rt.hosts
		if len(hosts) == 0 {
			hosts = slices.Collect(maps.Keys(sites))
		}
		for _, o := range hosts {
			if sites[o] != nil {
				add(rt, c.Routes[i], o)
			}
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	m := make(resources, len(all))
	for key, doc := range all {
		text, err := json.Marshal(doc)
		if err != nil {
			return nil, err
		}
		m[key] = append(text, '\n')
	}
	return m, nil
}

func union(list, more []string) []string {
	for _, s := range more {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// of returns the document at the address of a request, nil if there is none: then the path is an upstream's like any other.
func (m resources) of(req *CanonicalRequest) []byte {
	if m == nil || !strings.HasPrefix(req.Path, protectedResourcePath) {
		return nil
	}
	return m[resourceKey{req.Origin, req.Path}]
}

// serveMetadata answers everybody, also scripts of other sites: it says nothing that the challenge of a 401 does not lead to.
func serveMetadata(w http.ResponseWriter, req *CanonicalRequest, document []byte) error {
	req.record.Route, req.record.Outcome = "own", "own"
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	switch req.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions: // clients of MCP send headers that a browser asks about first
		h.Set("Access-Control-Allow-Methods", "GET, HEAD")
		h.Set("Access-Control-Allow-Headers", "*")
		w.WriteHeader(http.StatusNoContent)
		return nil
	default:
		return methodNotAllowed(w, "GET, HEAD, OPTIONS")
	}
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "max-age=300")
	_, _ = w.Write(document) // an error is the client's, who has left
	return nil
}
