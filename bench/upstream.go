package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
)

// serveUpstream is what both gateways stand before: size bytes, always the same. It speaks just
// enough HTTP/1.1 for keep-alive requests without bodies, because whatever it costs is taken from
// the processor that the client needs to keep the gateways busy. A request without a token gets
// 403, which ends the run.
func serveUpstream(l net.Listener, size int) {
	page := bytes.Repeat([]byte("x"), size)
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s", len(page), page)
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			r := bufio.NewReaderSize(conn, 16<<10)
			for answerOne(r, conn, answer) == nil {
			}
		}()
	}
}

var authorization = []byte("Authorization: ")

func answerOne(r *bufio.Reader, w io.Writer, answer []byte) error {
	first, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	echo := bytes.Contains(first, []byte(tokenPath))
	token := ""
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if len(line) <= 2 {
			break
		}
		if n := len(authorization); len(line) > n && bytes.EqualFold(line[:n], authorization) { // HAProxy writes names in small letters
			if token = "x"; echo {
				token = string(bytes.TrimSpace(line[n:]))
			}
		}
	}
	switch {
	case token == "":
		answer = []byte("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
	case echo:
		answer = fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(token), token)
	}
	_, err = w.Write(answer)
	return err
}
