package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every way of proving who we are that this provider takes, judged by code that is not ours.
func TestCAEveryClientAuthenticationIsUnderstood(t *testing.T) {
	b := newBrowser(t)
	for _, method := range []string{"client_secret_basic", "client_secret_post", "client_secret_jwt", "private_key_jwt", "none"} {
		t.Run(method, func(t *testing.T) {
			w := prepare(t, providerOptions{})
			registration := client(w.gateway.origin, method)
			table := w.providerTable(fmt.Sprintf("client_auth = %q", method))
			switch method {
			case "private_key_jwt":
				delete(registration, "client_secret")
				jwk, file := privateKey(t, filepath.Dir(w.gateway.file))
				registration["jwks"] = map[string]any{"keys": []any{jwk}}
				registration["token_endpoint_auth_signing_alg"] = "ES256"
				table += fmt.Sprintf("private_key = \"${file:%s}\"\nprivate_key_id = \"k1\"\n", file)
			case "none":
				delete(registration, "client_secret")
				table = strings.Replace(table, fmt.Sprintf("client_secret = %q\n", clientSecret), "", 1)
			}
			w.provider.options.Clients = []map[string]any{registration}
			w.gateway.configure(t, table+w.routeTable(""))
			w.provider.start(t)
			w.gateway.start(t)
			w.signedIn(t, b, "alice", "/page")
			events := w.provider.events(t)
			for _, e := range events {
				if e.Event == "grant" && e.Auth == method {
					return
				}
			}
			t.Errorf("the provider saw no client that authenticated by %s: %+v", method, events)
		})
	}
}

// privateKey makes a P-256 key: as a PEM file in dir, and its public half as a JWK.
func privateKey(t *testing.T, dir string) (jwk map[string]any, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "client.key")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes() // 4, x, y
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return map[string]any{
		"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "k1", "x": encode(point[1:33]), "y": encode(point[33:]),
	}, file
}
