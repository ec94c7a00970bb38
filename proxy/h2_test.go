package proxy

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"strings"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// h2 is a connection to G on which frames are written by hand, so that it can say what no
// client of good manners does.
type h2 struct {
	*lab
	w      io.Writer
	framer *http2.Framer
	block  bytes.Buffer
	hpack  *hpack.Encoder
}

func (l *lab) h2() *h2 {
	l.Helper()
	c := l.dial()
	h := &h2{lab: l, w: c, framer: http2.NewFramer(c, c)}
	h.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	h.hpack = hpack.NewEncoder(&h.block)
	_, err := io.WriteString(c, http2.ClientPreface)
	if err == nil {
		err = h.framer.WriteSettings()
	}
	if err != nil {
		l.Fatal(err)
	}
	return h
}

// headers writes one block of "name: value" lines, pseudo-headers among them, as they stand.
func (h *h2) headers(stream uint32, end bool, lines ...string) {
	h.Helper()
	h.block.Reset()
	for _, line := range lines {
		name, value, _ := strings.Cut(line[1:], ": ") // a pseudo-header begins with ":"
		if err := h.hpack.WriteField(hpack.HeaderField{Name: line[:1] + name, Value: value}); err != nil {
			h.Fatal(err)
		}
	}
	err := h.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: h.block.Bytes(), EndStream: end, EndHeaders: true})
	if err != nil {
		h.Logf("writing: %v", err) // G may have closed
	}
}

func (h *h2) data(stream uint32, end bool, body string) {
	if err := h.framer.WriteData(stream, end, []byte(body)); err != nil {
		h.Logf("writing: %v", err)
	}
}

// read waits for the answer on a stream.
func (h *h2) read(stream uint32) answer {
	h.Helper()
	a := answer{Response: &http.Response{Header: http.Header{}, Proto: "HTTP/2.0", ProtoMajor: 2}}
	for {
		f, err := h.framer.ReadFrame()
		if err != nil {
			a.Status = "none: " + err.Error()
			return a
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = h.framer.WriteSettingsAck()
			}
		case *http2.GoAwayFrame:
			a.Status = "none: goaway " + f.ErrCode.String()
			return a
		case *http2.RSTStreamFrame:
			if f.StreamID == stream && f.ErrCode != http2.ErrCodeNo {
				a.StatusCode, a.Status = 0, "none: reset "+f.ErrCode.String()
				return a
			}
		case *http2.MetaHeadersFrame:
			if f.StreamID != stream {
				continue
			}
			if s := f.PseudoValue("status"); s != "" {
				a.Status = s
				a.StatusCode, _ = strconv.Atoi(s)
			}
			for _, field := range f.RegularFields() {
				a.Header.Add(field.Name, field.Value)
			}
			if f.StreamEnded() {
				return a
			}
		case *http2.DataFrame:
			if f.StreamID == stream {
				a.body += string(f.Data())
				if f.StreamEnded() {
					return a
				}
			}
		}
	}
}

// readData waits for the next data on a stream.
func (h *h2) readData(stream uint32) string {
	h.Helper()
	for {
		f, err := h.framer.ReadFrame()
		if err != nil {
			h.Fatal(err)
		}
		if f, ok := f.(*http2.DataFrame); ok && f.StreamID == stream {
			return string(f.Data())
		}
	}
}

// send2 writes one request without a body over HTTP/2. Lines are those of [lab.send].
func (l *lab) send2(method, target string, lines ...string) answer {
	l.Helper()
	authority := "app.test"
	fields := []string{":method: " + method, ":scheme: https", ":path: " + target}
	var regular []string
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if strings.EqualFold(name, "host") {
			authority = value
			continue
		}
		regular = append(regular, strings.ToLower(name)+": "+value)
	}
	h := l.h2()
	h.headers(1, true, append(append(fields, ":authority: "+authority), regular...)...)
	return h.read(1)
}
