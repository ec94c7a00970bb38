package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/doorward/doorward/internal/pages"
)

// readBody takes a body into memory, up to limit, and puts it back for forwarding. Only
// requests that need an approval come here.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, p *place) ([]byte, error) {
	if r.ContentLength > limit {
		return nil, tooLarge(limit) // no 100 Continue was sent: nothing need arrive
	}
	data, err := io.ReadAll(counted{http.MaxBytesReader(w, r.Body, limit), p})
	var over *http.MaxBytesError
	var full *pages.Error
	switch {
	case errors.As(err, &over):
		return nil, tooLarge(limit)
	case errors.As(err, &full):
		return nil, full
	case err != nil:
		return nil, &pages.Error{Code: codeBadRequest, Detail: "The body of the request could not be read.", Err: errRequestBody}
	}
	putBody(r, data)
	return data, nil
}

// putBody makes data the body of r. What came behind the body on the wire is gone with it.
func putBody(r *http.Request, data []byte) {
	r.Body, r.ContentLength, r.TransferEncoding, r.Trailer = io.NopCloser(bytes.NewReader(data)), int64(len(data)), nil, nil
	if len(data) == 0 {
		r.Body = http.NoBody
	}
}

func tooLarge(limit int64) error {
	return &pages.Error{Code: codeBodyTooLarge, Detail: fmt.Sprintf("A request that must be approved may have a body of %d bytes here.", limit)}
}
