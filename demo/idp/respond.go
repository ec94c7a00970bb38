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
	return c.respond(req, params)
}

// respond sends the authorization response in the mode that was asked for, with the iss
// parameter of RFC 9207, and whatever sins make of it.
func (c *call) respond(req *authRequest, params url.Values) error {
	if req.state != "" {
		params.Set("state", req.state)
	}
	if !c.s.config.OmitIss {
		params.Set("iss", c.s.config.Issuer)
	}
	for _, sin := range c.take(Response, req.params) {
		if sin.Error != "" {
			params.Del("code")
			params.Set("error", sin.Error)
			params.Set("error_description", sin.Describe)
		}
		for name, values := range sin.Params {
			params[name] = values
		}
	}
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
