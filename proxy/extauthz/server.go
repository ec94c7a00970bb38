package extauthz

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/doorward/doorward/internal/telemetry"
	"github.com/doorward/doorward/proxy"
)

// Methods as they stand in the path of a call. Watch, which would last, is not there: probes use Check.
const (
	checkService = "envoy.service.auth.v3.Authorization"
	checkMethod  = "/" + checkService + "/Check"
	healthMethod = "/grpc.health.v1.Health/Check"
)

const statusServing = 1 // HealthCheckResponse.ServingStatus

// maxMessage bounds a CheckRequest, in bytes. It holds the headers, of which Envoy takes 60 KiB, a certificate, and as much of a body
// as Envoy was told to send along, which is not looked at.
const maxMessage = 1 << 20

// bodyWait is how long a message may take to arrive.
const bodyWait = 10 * time.Second

// Statuses of gRPC that are used here.
const (
	statusOK                = 0
	statusInvalidArgument   = 3
	statusNotFound          = 5
	statusPermissionDenied  = 7
	statusResourceExhausted = 8
	statusUnimplemented     = 12
)

// Judge judges what Envoy asks about; a *proxy.Gateway does.
type Judge interface {
	Check(w http.ResponseWriter, r *http.Request, certificate string) proxy.Verdict
}

// Handler is the service. Its listener speaks HTTP/2 without TLS.
type Handler struct {
	judge Judge
	trust []netip.Prefix
}

// New makes a Handler for peers on this machine, by loopback or a unix socket, and for those in trusted: whoever may
// ask is told who people are, and the tokens that go upstream for them.
func New(judge Judge, trusted []netip.Prefix) (*Handler, error) {
	if judge == nil {
		return nil, errors.New("extauthz: nobody to judge")
	}
	return &Handler{judge, slices.Clone(trusted)}, nil
}

// ServeHTTP takes one call (https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md).
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
	case r.ProtoMajor != 2 || !isGRPC(r.Header["Content-Type"]):
		w.WriteHeader(http.StatusUnsupportedMediaType)
	case !h.trusts(r.RemoteAddr):
		telemetry.From(w).Err = errors.New("the question came from " + r.RemoteAddr + ", which is not in listen.trusted_proxies")
		end(w, nil, statusPermissionDenied, "only trusted proxies may ask")
	case r.URL.Path == healthMethod:
		h.health(w, r)
	case r.URL.Path != checkMethod:
		end(w, nil, statusUnimplemented, "there is no such method")
	default:
		h.check(w, r)
	}
}

// health answers probes of Envoy and Kubernetes (https://github.com/grpc/grpc/blob/master/doc/health-checking.md): whoever is
// answered is served. Whether the gateway is ready is said by /readyz.
func (h *Handler) health(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWait))
	request, status, why := read(r.Body)
	if status != statusOK {
		end(w, nil, status, why)
		return
	}
	service := ""
	err := fields(request, func(n protowire.Number, value []byte, _ uint64) error {
		if n == 1 {
			service = string(value)
		}
		return nil
	})
	switch {
	case err != nil:
		end(w, nil, statusInvalidArgument, err.Error())
	case service != "" && service != checkService:
		end(w, nil, statusNotFound, "there is no such service")
	default:
		end(w, number(nil, 1, statusServing), statusOK, "")
	}
}

func (h *Handler) check(w http.ResponseWriter, r *http.Request) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyWait)) // a writer without deadlines has none
	text, status, why := read(r.Body)
	if status != statusOK {
		end(w, nil, status, why)
		return
	}
	c, err := parse(text)
	if err != nil {
		end(w, nil, statusInvalidArgument, err.Error())
		return
	}
	if limit, ok := timeout(r.Header["Grpc-Timeout"]); ok {
		ctx, cancel := context.WithTimeout(r.Context(), limit)
		defer cancel()
		r = r.WithContext(ctx)
	}
	end(w, render(h.judge.Check(w, c.request(r), c.certificate)), statusOK, "")
}

// read reads the one message of a call: a byte that says whether it is compressed, four for its length, and itself.
func read(body io.Reader) (text []byte, status int, why string) {
	var prefix [5]byte
	if _, err := io.ReadFull(body, prefix[:]); err != nil {
		return nil, statusInvalidArgument, "there is no message"
	}
	length := binary.BigEndian.Uint32(prefix[1:])
	switch {
	case prefix[0] != 0:
		return nil, statusUnimplemented, "compressed messages are not taken"
	case length > maxMessage:
		return nil, statusResourceExhausted, "the message is larger than 1 MiB"
	}
	text = make([]byte, length)
	if _, err := io.ReadFull(body, text); err != nil {
		return nil, statusInvalidArgument, "the message breaks off"
	}
	if n, _ := io.ReadFull(body, prefix[:1]); n != 0 {
		return nil, statusInvalidArgument, "there is more than one message"
	}
	return text, statusOK, ""
}

// end writes the answer, if there is one, and the status of the call as trailers. why is plain ASCII without "%".
func end(w http.ResponseWriter, message []byte, status int, why string) {
	h := w.Header()
	h["Content-Type"] = []string{"application/grpc"}
	h[http.TrailerPrefix+"Grpc-Status"] = []string{strconv.Itoa(status)}
	if why != "" {
		h[http.TrailerPrefix+"Grpc-Message"] = []string{why}
	}
	w.WriteHeader(http.StatusOK)
	if status != statusOK {
		return
	}
	framed := make([]byte, 5, 5+len(message))
	binary.BigEndian.PutUint32(framed[1:], uint32(len(message))) //nolint:gosec // a page and some headers
	_, _ = w.Write(append(framed, message...))                   // whoever has gone does not need it
}

func isGRPC(contentType []string) bool {
	return len(contentType) == 1 && (contentType[0] == "application/grpc" || strings.HasPrefix(contentType[0], "application/grpc+proto") || strings.HasPrefix(contentType[0], "application/grpc;"))
}

// trusts reports whether a peer may ask. One without an address came over a unix socket, whose file says who may.
func (h *Handler) trusts(remote string) bool {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return !strings.Contains(remote, ":")
	}
	a := ap.Addr().WithZone("").Unmap()
	return a.IsLoopback() || slices.ContainsFunc(h.trust, func(p netip.Prefix) bool { return p.Contains(a) })
}

// timeout reads how long the caller waits: at most eight digits and a unit.
func timeout(lines []string) (time.Duration, bool) {
	if len(lines) != 1 || len(lines[0]) < 2 || len(lines[0]) > 9 {
		return 0, false
	}
	digits := lines[0][:len(lines[0])-1]
	unit, ok := map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}[lines[0][len(digits)]]
	n, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil {
		return 0, false
	}
	return min(time.Duration(n), time.Duration(1<<62)/unit) * unit, true //nolint:gosec // 32 bits
}
