package flows

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/doorward/doorward/internal/pages"
)

// fromProgram reports whether a request comes from something that says neither by Sec-Fetch-Site nor by Origin
// which page made it, because no page did.
func fromProgram(r *http.Request) bool {
	return pages.KindOf(r) == pages.Program && len(r.Header["Sec-Fetch-Site"]) == 0 && len(r.Header["Origin"]) == 0
}

// readForm reads the body of a form strictly: one type, at most so many bytes, each field once. What would be read
// past, such as a JSON body, is refused instead: whoever sent it meant something.
func readForm(w http.ResponseWriter, r *http.Request, most int64) (url.Values, error) {
	media, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" || r.Header.Get("Content-Encoding") != "" {
		return nil, &pages.Error{Code: codeBadRequest, Detail: "This is not a form (application/x-www-form-urlencoded)."}
	}
	if charset, ok := params["charset"]; ok && !strings.EqualFold(charset, "utf-8") { // it would be read as another text than was sent
		return nil, &pages.Error{Code: codeBadRequest, Detail: "The form must be encoded in UTF-8."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, &pages.Error{Code: codeBodyTooLarge, Detail: fmt.Sprintf("The form has more than %d kB.", most>>10)}
	case err != nil:
		return nil, &pages.Error{Code: codeBadRequest, Detail: "The form broke off.", Err: err}
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, &pages.Error{Code: codeBadRequest, Detail: "The form is not encoded correctly."} // err repeats what was typed
	}
	for _, values := range form {
		if len(values) > 1 {
			return nil, &pages.Error{Code: codeBadRequest, Detail: "The form says something twice."}
		}
	}
	return form, nil
}
