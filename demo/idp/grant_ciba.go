package idp

// grantCIBA answers a poll, or the request that follows a ping (CIBA §10.1, §11).
func (s *Server) grantCIBA(c *call, client *Client) (map[string]any, error) {
	value := c.form.Get("auth_req_id")
	switch {
	case value == "":
		return nil, refuse("invalid_request", "auth_req_id is missing")
	case client.CIBADelivery == "push":
		return nil, refuse("unauthorized_client", "a client in push mode gets its tokens by push")
	}
	g, err := s.pollCIBA(value, client)
	if err != nil {
		return nil, err
	}
	return s.issue(issued{grant: g, scopes: g.scopes, newRefresh: true, jkt: c.jkt, sins: c.sins})
}

func (s *Server) pollCIBA(value string, client *Client) (*grant, error) {
	s.state.mu.Lock()
	defer s.state.mu.Unlock()
	request := s.state.ciba[value]
	switch {
	case request == nil:
		return nil, refuse("invalid_grant", "unknown auth_req_id")
	case request.client != client: // not the client's to use up
		return nil, refuse("invalid_grant", "the auth_req_id was issued to another client")
	}
	// Once it has been pinged a client may come at once, however recently it has polled (§7.3).
	eager := client.CIBADelivery == "ping" && (request.grant != nil || request.denied)
	if err := request.poll(s.now(), eager); err != nil {
		return nil, err
	}
	return request.grant, nil
}
