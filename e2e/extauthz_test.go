package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	auth "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

// envoys is a client of Envoy's own messages and of gRPC's own implementation, of which the gateway shares no line.
type envoys struct {
	*testing.T
	auth.AuthorizationClient
	host string
}

// newEnvoys starts a gateway about whose hosts Envoy asks, and makes an API key for it.
func newEnvoys(t *testing.T) (e *envoys, key string) {
	t.Helper()
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	made, err := exec.Command(name, "hash", "--key", "robot").Output()
	if err != nil {
		t.Fatal(err)
	}
	key, _, _ = strings.Cut(string(made), "\n")
	hash := string(made)[strings.Index(string(made), "sha256:"):]
	hash, _, _ = strings.Cut(hash, `"`)

	g := newGateway(t)
	at := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	g.configure(t, fmt.Sprintf(`ext_authz = %q
[provider.corp]
issuer = "http://127.0.0.1:%d"
client_id = "doorward"
client_secret = "a-secret-that-nobody-knows"
[key.robot]
hash = %q
[[route]]
name = "asked"
host = %q
accept = ["session", "key"]
[[route]]
name = "board"
host = %q
path = "/board"
accept = ["session", "key"]
allow = [{ groups = ["board"] }]
[[route]]
name = "open"
host = %q
path = "/open"
public = true
`, at, freePort(t), hash, g.origin, g.origin, g.origin))
	g.start(t)
	conn, err := grpc.NewClient(at, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &envoys{t, auth.NewAuthorizationClient(conn), strings.TrimPrefix(g.origin, "http://")}, key
}

func (e *envoys) ask(method, path string, headers map[string]string) *auth.CheckResponse {
	e.Helper()
	ctx, cancel := context.WithTimeout(e.Context(), patience)
	defer cancel()
	all := map[string]string{":method": method, ":path": path, ":authority": e.host, "x-request-id": "1"}
	for name, value := range headers {
		all[name] = value
	}
	answer, err := e.Check(ctx, &auth.CheckRequest{Attributes: &auth.AttributeContext{
		Source: &auth.AttributeContext_Peer{Address: &core.Address{Address: &core.Address_SocketAddress{SocketAddress: &core.SocketAddress{
			Address: "192.0.2.1", PortSpecifier: &core.SocketAddress_PortValue{PortValue: 40000},
		}}}},
		Request: &auth.AttributeContext_Request{Http: &auth.AttributeContext_HttpRequest{
			Id: "1", Method: method, Path: path, Host: e.host, Scheme: "http", Protocol: "HTTP/2", Size: -1, Headers: all,
		}},
	}})
	if err != nil {
		e.Fatal(err)
	}
	if err := answer.ValidateAll(); err != nil {
		e.Errorf("Envoy's own rules refuse the answer: %v", err)
	}
	return answer
}

func (e *envoys) refused(a *auth.CheckResponse, want int) *auth.DeniedHttpResponse {
	e.Helper()
	denied := a.GetDeniedResponse()
	if codes.Code(a.GetStatus().GetCode()) != codes.PermissionDenied || int(denied.GetStatus().GetCode()) != want {
		e.Errorf("not refused by %d: %v", want, a)
	}
	return denied
}

func header(all []*core.HeaderValueOption, name string) (values []string) {
	for _, h := range all {
		if h.GetHeader().GetKey() == name {
			values = append(values, h.GetHeader().GetValue())
		}
	}
	return values
}

func TestEnvoyAsksOverGRPC(t *testing.T) {
	t.Parallel()
	e, key := newEnvoys(t)

	a := e.ask(http.MethodGet, "/x?y=1", map[string]string{"x-api-key": key, "x-forwarded-user": "root", "x_forwarded_user": "root", "cookie": "theme=dark"})
	ok := a.GetOkResponse()
	if codes.Code(a.GetStatus().GetCode()) != codes.OK || ok == nil {
		t.Fatalf("not allowed: %v", a)
	}
	if got := header(ok.GetHeaders(), "x-auth-request-client"); !slices.Equal(got, []string{"robot"}) {
		t.Errorf("x-auth-request-client: %q", got)
	}
	for _, h := range ok.GetHeaders() {
		if h.GetAppendAction() != core.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			t.Errorf("%s does not take the place of a client's own", h.GetHeader().GetKey())
		}
	}
	if got, want := slices.Sorted(slices.Values(ok.GetHeadersToRemove())), []string{"x-api-key", "x-forwarded-user", "x_forwarded_user"}; !slices.Equal(got, want) {
		t.Errorf("removed are %q, not %q", got, want)
	}

	page := map[string]string{"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "accept": "text/html"}
	denied := e.refused(e.ask(http.MethodGet, "/x?y=1", page), http.StatusFound)
	if to := header(denied.GetHeaders(), "location"); len(to) != 1 || to[0] != "http://"+e.host+"/oauth2/start?rd=%2Fx%3Fy%3D1" {
		t.Errorf("location: %q", to)
	}
	denied = e.refused(e.ask(http.MethodGet, "/x", nil), http.StatusUnauthorized)
	if !strings.Contains(denied.GetBody(), "login_required") {
		t.Errorf("the body is %s", denied.GetBody())
	}
	e.refused(e.ask(http.MethodGet, "/board", map[string]string{"x-api-key": key}), http.StatusForbidden)
	e.refused(e.ask(http.MethodGet, "/open/../board", map[string]string{"x-api-key": key}), http.StatusBadRequest)
	if a := e.ask(http.MethodGet, "/open/x", nil); a.GetOkResponse() == nil {
		t.Errorf("not allowed: %v", a)
	}
}

func TestEnvoyIsToldWhatItsMessageLacks(t *testing.T) {
	t.Parallel()
	e, _ := newEnvoys(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := e.Check(ctx, &auth.CheckRequest{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("an empty question: %v", err)
	}
}
