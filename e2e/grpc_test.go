package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// gRPC's own implementation on both sides of the gateway (R9).

const largestMessage = 16 << 20

// bytesOf is what passes in every message.
type bytesOf = wrapperspb.BytesValue

// service is a gRPC server with a method of each kind.
type service struct {
	*grpc.Server
	at    string
	seen  chan metadata.MD // of each call of Unary
	ended chan error       // why each call of Wait did
}

func newService(t *testing.T, names ...string) *service {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &service{
		Server: grpc.NewServer(grpc.MaxRecvMsgSize(largestMessage)), at: l.Addr().String(),
		seen: make(chan metadata.MD, 100), ended: make(chan error, 100),
	}
	for _, name := range names {
		s.RegisterService(&grpc.ServiceDesc{
			ServiceName: name, HandlerType: (*any)(nil),
			Methods: []grpc.MethodDesc{{MethodName: "Unary", Handler: s.unary}, {MethodName: "Refuse", Handler: refuse}, {MethodName: "Wait", Handler: s.wait}},
			Streams: []grpc.StreamDesc{
				{StreamName: "Count", Handler: count, ServerStreams: true},
				{StreamName: "Sum", Handler: sum, ClientStreams: true},
				{StreamName: "Echo", Handler: s.echo, ServerStreams: true, ClientStreams: true},
			},
		}, s)
	}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(s.Stop)
	return s
}

func (s *service) unary(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	in := new(bytesOf)
	if err := decode(in); err != nil {
		return nil, err
	}
	md, _ := metadata.FromIncomingContext(ctx)
	s.seen <- md
	_ = grpc.SetHeader(ctx, metadata.Pairs("x-header", "h", "x-header-bin", "\x00\xff"))
	_ = grpc.SetTrailer(ctx, metadata.Pairs("x-trailer", "t", "x-trailer-bin", "\x00\xfe"))
	return in, nil
}

// refuse answers with a status and details, which gRPC encodes into a field behind the body.
func refuse(_ any, _ context.Context, _ func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	st, err := status.New(codes.FailedPrecondition, "not now: 100 % ü\n").WithDetails(wrapperspb.String("the reason"))
	if err != nil {
		return nil, err
	}
	return nil, st.Err()
}

// wait tells of its end.
func (s *service) wait(_ any, ctx context.Context, _ func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	s.seen <- nil
	<-ctx.Done()
	s.ended <- context.Cause(ctx)
	return nil, ctx.Err()
}

// count sends as many large messages as it is asked for by the length of one.
func count(_ any, stream grpc.ServerStream) error {
	in := new(bytesOf)
	if err := stream.RecvMsg(in); err != nil {
		return err
	}
	for range in.Value {
		if err := stream.SendMsg(wrapperspb.Bytes(make([]byte, 1<<20))); err != nil {
			return err
		}
	}
	return nil
}

// sum answers when its caller has said its last word.
func sum(_ any, stream grpc.ServerStream) error {
	n := 0
	for in := new(bytesOf); ; n += len(in.Value) {
		err := stream.RecvMsg(in)
		if errors.Is(err, io.EOF) {
			return stream.SendMsg(wrapperspb.Bytes(fmt.Append(nil, n)))
		}
		if err != nil {
			return err
		}
	}
}

// echo answers each message before the next, and sends one more when its caller has said its last word.
func (s *service) echo(_ any, stream grpc.ServerStream) error {
	for {
		in := new(bytesOf)
		switch err := stream.RecvMsg(in); {
		case errors.Is(err, io.EOF):
			return stream.SendMsg(wrapperspb.String("the end"))
		case err != nil:
			s.ended <- err
			return err
		}
		if err := stream.SendMsg(in); err != nil {
			return err
		}
	}
}

// callers is a gRPC client of the gateway, and what it may show.
type callers struct {
	*service
	*grpc.ClientConn
	token, weak, key string
}

// newCallers runs a service behind two routes: one that takes bearer tokens, and one that takes API keys.
func newCallers(t *testing.T) *callers {
	t.Helper()
	name, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	made, err := exec.Command(name, "hash", "--key", "robot").Output()
	if err != nil {
		t.Fatal(err)
	}
	key, rest, _ := strings.Cut(string(made), "\n")
	_, hash, _ := strings.Cut(rest, "sha256:")
	hash, _, _ = strings.Cut(hash, `"`)
	s := newService(t, "test.Orders", "test.Keyed")
	w := prepareMachines(t, providerOptions{})
	w.start(t, strings.ReplaceAll(`
[key.robot]
hash = "sha256:`+hash+`"
[[route]]
name = "orders"
host = "%[1]s"
path = "/test.Orders"
upstream = ["http://SERVICE"]
protocol = "h2c"
accept = ["bearer"]
issuers = ["corp"]
audience = ["`+ourAPI+`"]
allow = [{ scopes = ["orders.read"] }]
[[route]]
name = "keyed"
host = "%[1]s"
path = "/test.Keyed"
upstream = ["http://SERVICE", "http://127.0.0.1:1"]
protocol = "h2c"
accept = ["key"]
`, "SERVICE", s.at))
	conn, err := grpc.NewClient(strings.TrimPrefix(w.gateway.origin, "http://"), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largestMessage)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &callers{s, conn, w.token(t, callerID, ourAPI, "orders.read"), w.token(t, callerID, ourAPI, "orders.write"), key}
}

// as is a call's context with metadata: names and values in turn.
func as(t *testing.T, pairs ...string) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return metadata.AppendToOutgoingContext(ctx, pairs...)
}

func (c *callers) unary(ctx context.Context, method, text string, o ...grpc.CallOption) (string, error) {
	out := new(bytesOf)
	err := c.Invoke(ctx, method, wrapperspb.Bytes([]byte(text)), out, o...)
	return string(out.Value), err
}

func (c *callers) stream(t *testing.T, ctx context.Context, method string) grpc.ClientStream {
	t.Helper()
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func receive(t *testing.T, s grpc.ClientStream) []byte {
	t.Helper()
	in := new(bytesOf)
	if err := s.RecvMsg(in); err != nil {
		t.Fatal(err)
	}
	return in.Value
}

func TestR9ServicesOfGRPCWorkBehindTheGateway(t *testing.T) {
	c := newCallers(t)
	bearer := func(t *testing.T) context.Context { return as(t, "authorization", "Bearer "+c.token) }
	t.Run("metadata passes both ways", func(t *testing.T) {
		var header, trailer metadata.MD
		ctx := metadata.AppendToOutgoingContext(bearer(t), "x-tenant", "7", "x-tenant", "8", "x-trace-bin", "\x00\x01\xff", "x-forwarded-user", "root")
		got, err := c.unary(ctx, "/test.Orders/Unary", "hello", grpc.Header(&header), grpc.Trailer(&trailer))
		if err != nil || got != "hello" {
			t.Fatalf("answer %q, %v", got, err)
		}
		if fmt.Sprint(header["x-header"], trailer["x-trailer"]) != "[h] [t]" || header["x-header-bin"][0] != "\x00\xff" || trailer["x-trailer-bin"][0] != "\x00\xfe" {
			t.Errorf("header %v, trailer %v", header, trailer)
		}
		seen := <-c.seen
		if strings.Join(seen["x-tenant"], ",") != "7,8" || strings.Join(seen["x-trace-bin"], "") != "\x00\x01\xff" {
			t.Errorf("the service got %v", seen)
		}
		if strings.Join(seen["x-forwarded-client"], "") != callerID || seen["x-forwarded-user"] != nil || seen["authorization"] != nil {
			t.Errorf("about the caller the service got %v", seen)
		}
	})
	t.Run("an API key counts, and never arrives", func(t *testing.T) {
		for range 10 { // one of the two upstreams is dead, of which nobody learns
			if got, err := c.unary(as(t, "x-api-key", c.key), "/test.Keyed/Unary", "hello"); err != nil || got != "hello" {
				t.Errorf("answer %q, %v", got, err)
			}
		}
		if n := len(c.seen); n != 10 {
			t.Fatalf("%d of 10 calls arrived", n)
		}
		for len(c.seen) > 0 {
			if seen := <-c.seen; seen["x-api-key"] != nil || strings.Contains(fmt.Sprint(seen), c.key) {
				t.Errorf("the service got %v", seen)
			}
		}
	})
	t.Run("refusals are statuses of gRPC", func(t *testing.T) {
		for name, r := range map[string]struct {
			method string
			with   []string
			want   codes.Code
		}{
			"nobody":            {"/test.Orders/Unary", nil, codes.Unauthenticated},
			"rubbish":           {"/test.Orders/Unary", []string{"authorization", "Bearer rubbish"}, codes.Unauthenticated},
			"without the scope": {"/test.Orders/Unary", []string{"authorization", "Bearer " + c.weak}, codes.PermissionDenied},
			"no key":            {"/test.Keyed/Unary", []string{"authorization", "Bearer " + c.token}, codes.Unauthenticated},
			"no service":        {"/test.None/Unary", []string{"authorization", "Bearer " + c.token}, codes.Unimplemented},
			"no method":         {"/test.Orders/None", []string{"authorization", "Bearer " + c.token}, codes.Unimplemented},
		} {
			if _, err := c.unary(as(t, r.with...), r.method, "x"); status.Code(err) != r.want {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := c.NewStream(as(t), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/test.Orders/Echo"); err != nil {
			t.Fatal(err)
		}
		stream := c.stream(t, as(t), "/test.Orders/Echo") // and says nothing: the decision does not wait for a message
		if err := stream.RecvMsg(new(bytesOf)); status.Code(err) != codes.Unauthenticated {
			t.Errorf("a stream of nobody: %v", err)
		}
		if len(c.seen) > 0 {
			t.Error("the service saw one of them")
		}
	})
	t.Run("an error comes with its details", func(t *testing.T) {
		_, err := c.unary(bearer(t), "/test.Orders/Refuse", "x")
		st := status.Convert(err)
		if st.Code() != codes.FailedPrecondition || st.Message() != "not now: 100 % ü\n" || len(st.Details()) != 1 || st.Details()[0].(*wrapperspb.StringValue).Value != "the reason" {
			t.Errorf("error %v, details %v", err, st.Details())
		}
	})
	t.Run("large messages", func(t *testing.T) {
		large := strings.Repeat("0123456789abcdef", 12<<20/16)
		if got, err := c.unary(bearer(t), "/test.Orders/Unary", large); err != nil || got != large {
			t.Errorf("%d bytes came back, %v", len(got), err)
		}
		<-c.seen
	})
	t.Run("a stream of the service", func(t *testing.T) {
		s := c.stream(t, bearer(t), "/test.Orders/Count")
		if err := errors.Join(s.SendMsg(wrapperspb.Bytes(make([]byte, 20))), s.CloseSend()); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			if got := receive(t, s); len(got) != 1<<20 {
				t.Errorf("%d bytes", len(got))
			}
		}
		if err := s.RecvMsg(new(bytesOf)); !errors.Is(err, io.EOF) {
			t.Errorf("it ends by %v", err)
		}
	})
	t.Run("a stream of the caller", func(t *testing.T) {
		s := c.stream(t, bearer(t), "/test.Orders/Sum")
		for range 100 {
			if err := s.SendMsg(wrapperspb.Bytes(make([]byte, 10_000))); err != nil {
				t.Fatal(err)
			}
		}
		_ = s.CloseSend()
		if got := receive(t, s); string(got) != "1000000" {
			t.Errorf("the sum is %s", got)
		}
	})
	t.Run("both at once, and a last word after the caller's", func(t *testing.T) {
		s := c.stream(t, bearer(t), "/test.Orders/Echo")
		for i := range 100 {
			text := bytes.Repeat([]byte{byte(i)}, i*100)
			if err := s.SendMsg(wrapperspb.Bytes(text)); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, s); !bytes.Equal(got, text) {
				t.Fatalf("message %d: %d bytes", i, len(got))
			}
		}
		_ = s.CloseSend()
		if got := receive(t, s); string(got) != "the end" {
			t.Errorf("the last word is %q", got)
		}
		if err := s.RecvMsg(new(bytesOf)); !errors.Is(err, io.EOF) {
			t.Errorf("it ends by %v", err)
		}
	})
}

func TestR9AGRPCCallEndsOnBothSides(t *testing.T) {
	c := newCallers(t)
	bearer := func(t *testing.T) context.Context { return as(t, "authorization", "Bearer "+c.token) }
	noticed := func(t *testing.T) {
		t.Helper()
		select {
		case <-c.ended:
		case <-time.After(patience):
			t.Error("the service goes on")
		}
	}
	t.Run("by cancellation", func(t *testing.T) {
		ctx, cancel := context.WithCancel(bearer(t))
		go func() {
			<-c.seen
			cancel()
		}()
		if _, err := c.unary(ctx, "/test.Orders/Wait", "x"); status.Code(err) != codes.Canceled {
			t.Errorf("error %v", err)
		}
		noticed(t)
	})
	t.Run("by a deadline, which the service knows", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(bearer(t), 200*time.Millisecond)
		defer cancel()
		if _, err := c.unary(ctx, "/test.Orders/Wait", "x"); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("error %v", err)
		}
		noticed(t)
		<-c.seen
	})
	t.Run("by a caller that breaks off a stream", func(t *testing.T) {
		ctx, cancel := context.WithCancel(bearer(t))
		s := c.stream(t, ctx, "/test.Orders/Echo")
		if err := s.SendMsg(wrapperspb.Bytes([]byte("x"))); err != nil {
			t.Fatal(err)
		}
		receive(t, s)
		cancel()
		noticed(t)
	})
	t.Run("by the death of the service", func(t *testing.T) { // the last one
		s := c.stream(t, bearer(t), "/test.Orders/Echo")
		if err := s.SendMsg(wrapperspb.Bytes([]byte("x"))); err != nil {
			t.Fatal(err)
		}
		receive(t, s)
		c.Stop()
		if err := s.RecvMsg(new(bytesOf)); err == nil || errors.Is(err, io.EOF) || status.Code(err) == codes.OK {
			t.Errorf("it ends by %v, as if it was whole", err)
		}
		if _, err := c.unary(bearer(t), "/test.Orders/Unary", "x"); status.Code(err) != codes.Unavailable {
			t.Errorf("and then: %v", err)
		}
	})
}
