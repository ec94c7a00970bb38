package idp

// act makes the claim that says who acts for the subject (RFC 8693 §4.1): the newest outermost, with
// what the subject token says about earlier actors inside. nil = nobody does: the token is passed on as it is.
func (e *exchange) act(client *Client) (map[string]any, *oauthError) {
	earlier, _ := e.subject.claims["act"].(map[string]any)
	acting := map[string]any{"sub": client.ID}
	if e.actor != nil {
		acting = map[string]any{"sub": e.actor.user.Subject}
		if issuer := e.actor.text("iss"); issuer != e.subject.text("iss") {
			acting["iss"] = issuer
		}
	}
	if !e.mayAct(acting) {
		return nil, refuse("invalid_request", "may_act of the subject token names another actor")
	}
	if e.actor == nil {
		return earlier, nil
	}
	if earlier != nil {
		acting["act"] = earlier
	}
	return acting, nil
}

// mayAct honours may_act (RFC 8693 §4.4): if the subject token says who may act, nobody else may.
func (e *exchange) mayAct(acting map[string]any) bool {
	may, restricted := e.subject.claims["may_act"]
	if !restricted {
		return true
	}
	allowed, ok := may.(map[string]any)
	if !ok || allowed["sub"] != acting["sub"] {
		return false
	}
	issuer, named := allowed["iss"]
	acts, elsewhere := acting["iss"]
	if !elsewhere {
		acts = e.subject.claims["iss"]
	}
	return !named || issuer == acts
}
