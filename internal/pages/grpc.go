package pages

import (
	"net/http"
	"strconv"
	"strings"
)

// gRPC clients understand no page and no problem document: to them every HTTP status but 200 is a broken server. Ours is a
// "Trailers-Only" answer of the protocol: the outcome stands in the header of a 200 that has no body. gRPC-Web reads the same.

const (
	grpcMedia   = "application/grpc"
	maxGRPCText = 1 << 10 // bytes of a message, before it is encoded
)

// grpcKind returns the content type of a gRPC call, to be answered with, or "". Parameters are the caller's and not repeated.
func grpcKind(r *http.Request) string {
	values := r.Header["Content-Type"]
	if r.Method != http.MethodPost || len(values) != 1 || len(values[0]) < len(grpcMedia) || !strings.EqualFold(values[0][:len(grpcMedia)], grpcMedia) {
		return ""
	}
	media, _, _ := strings.Cut(strings.ToLower(values[0]), ";")
	switch media = strings.TrimSpace(media); media[len(grpcMedia):] {
	case "", "+proto", "+json", "-web", "-web+proto", "-web+json", "-web-text", "-web-text+proto":
		return media
	}
	if rest := media[len(grpcMedia):]; rest[0] == '+' || strings.HasPrefix(rest, "-web") {
		return grpcMedia // a message format that only the two ends know
	}
	return ""
}

// grpcStatus maps the status of an error of ours. Retrying is right where it is for HTTP, and nowhere else.
func grpcStatus(status int) int {
	switch status {
	case http.StatusBadRequest:
		return 3 // INVALID_ARGUMENT
	case http.StatusUnauthorized:
		return 16 // UNAUTHENTICATED
	case http.StatusForbidden:
		return 7 // PERMISSION_DENIED
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusMisdirectedRequest:
		return 12 // UNIMPLEMENTED, as gRPC itself says of a path that is not there
	case http.StatusConflict:
		return 10 // ABORTED
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests:
		return 8 // RESOURCE_EXHAUSTED
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return 14 // UNAVAILABLE
	case http.StatusInternalServerError:
		return 13 // INTERNAL
	}
	return 2 // UNKNOWN
}

// grpc answers a gRPC call. The code comes first, for programs; the login_url is there for whoever reads the message.
func (p *Pages) grpc(w http.ResponseWriter, r *http.Request, media string, e *Error) {
	text := e.Code + ": " + e.detail()
	if to := link(e.LoginURL); to != "" {
		text += " Sign in at " + to
	}
	h := w.Header()
	h.Set("Grpc-Status", strconv.Itoa(grpcStatus(e.status())))
	h.Set("Grpc-Message", percent(text[:min(len(text), maxGRPCText)]))
	send(w, r, http.StatusOK, media, bare, noReferrer, nil)
}

// percent is the encoding of grpc-message: what is not printable ASCII, and "%", as bytes in hexadecimal.
func percent(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for _, c := range []byte(s) {
		if c < ' ' || c > '~' || c == '%' {
			b.Write([]byte{'%', hex[c>>4], hex[c&15]})
			continue
		}
		b.WriteByte(c)
	}
	return b.String()
}
