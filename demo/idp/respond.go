package idp

import (
	"net/http"
	"net/url"
)

// respondError sends an error to the redirect URI (RFC 6749 §4.1.2.1).
func (c *call) respondError(req *authRequest, err *oauthError) error {
	c.s.records.note(func() { c.record.Error = err.Code })
	params := url.Values{"error": {err.Code}}
	if err.Description != "" {
		params.Set("error_description", err.Description)
	}
	return c.deliver(req, params, c.take(Response, req.params))
}

// promised are the parameters of a success: none of them goes along with an error.
var promised = [...]string{"code", "access_token", "token_type", "expires_in", "scope", "id_token"}

// deliver sends the authorization response in the mode that was asked for, with the iss
// parameter of RFC 9207, and whatever sins make of it.
func (c *call) deliver(req *authRequest, params url.Values, sins []Sin) error {
	if req.state != "" {
		params.Set("state", req.state)
	}
	if !c.s.config.OmitIss {
		params.Set("iss", c.s.config.Issuer)
	}
	for _, sin := range sins {
		if sin.Error != "" {
			for _, name := range promised {
				params.Del(name)
			}
			params.Set("error", sin.Error)
			params.Set("error_description", sin.Describe)
		}
		for name, values := range sin.Params {
			params[name] = values
		}
	}
	answer := map[string]any{}
	for name := range params {
		answer[name] = params.Get(name)
	}
	c.noteAnswer(answer)
	c.noStore()
	c.w.Header().Set("Referrer-Policy", "no-referrer")
	target, err := url.Parse(req.redirectURI)
	if err != nil {
		return err
	}
	switch req.responseMode {
	case "form_post":
		return c.page(http.StatusOK, "form_post", formPost{Action: req.redirectURI, Params: params})
	case "fragment":
		c.redirect(req.redirectURI + "#" + params.Encode())
	default:
		query := params.Encode()
		if target.RawQuery != "" {
			query = target.RawQuery + "&" + query
		}
		target.RawQuery = query
		c.redirect(target.String())
	}
	return nil
}

// redirect sends the browser on by GET, never 307, which would post the password along (RFC 9700 §4.12).
func (c *call) redirect(location string) {
	c.w.Header().Set("Location", location)
	c.w.WriteHeader(http.StatusSeeOther)
}

type formPost struct {
	Action string
	Params url.Values
}
