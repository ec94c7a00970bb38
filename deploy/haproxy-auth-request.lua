-- Asks Doorward whether a request may pass: "http-request lua.doorward http://127.0.0.1:4180". See haproxy.cfg.
-- For HAProxy 2.6 and later, by its own HTTP client. It fails closed: the variable txn.doorward is "yes" only after a yes.

-- What a yes sets in the request. All of these are deleted first, whoever wrote them.
local told = {
	"x-forwarded-user", "x-forwarded-email", "x-forwarded-groups", "x-forwarded-preferred-username", "x-forwarded-client", "authorization",
	"x-doorward-assertion",
}
-- What else says who is calling, from where, or what is asked about: only ever deleted.
local forged = {
	"x-forwarded-access-token", "x-auth-request-user", "x-auth-request-email", "x-auth-request-groups", "x-auth-request-preferred-username",
	"x-auth-request-client", "x-auth-request-access-token", "remote-user", "remote-groups", "remote-email", "remote-name", "x-remote-user",
	"x-original-uri", "x-original-url", "x-original-method", "x-rewrite-url", "x-forwarded-uri", "x-forwarded-method", "x-forwarded-port",
	"x-forwarded-prefix", "x-forwarded-server", "forwarded", "x-real-ip", "true-client-ip", "cf-connecting-ip", "x-http-method-override",
	"x-http-method", "x-method-override",
}
-- Headers of the request that the question goes without.
local not_asked = { ["content-length"] = true, ["transfer-encoding"] = true, ["connection"] = true, ["expect"] = true, ["te"] = true, ["keep-alive"] = true }
-- Headers of a refusal that HAProxy writes itself.
local not_answered = { ["content-length"] = true, ["transfer-encoding"] = true, ["connection"] = true, ["keep-alive"] = true, ["date"] = true }

-- HAProxy counts the values of a request's header from 0, and those of an answer's from 0 or 1 by its release.
local function values(list)
	local all = {}
	for i = 0, 64 do
		if list[i] ~= nil then
			all[#all + 1] = list[i]
		end
	end
	return all
end

-- Our own cookies are no secret of the application's: it gets the others.
local function keep_cookies(txn)
	local lines = txn.http:req_get_headers()["cookie"]
	txn.http:req_del_header("cookie")
	for _, line in ipairs(values(lines or {})) do
		local others = {}
		for cookie in line:gmatch("[^;]+") do
			cookie = cookie:gsub("^%s+", "")
			if not cookie:find("^[=%s]*__Host%-doorward") then
				others[#others + 1] = cookie
			end
		end
		if #others > 0 then
			txn.http:req_add_header("cookie", table.concat(others, "; "))
		end
	end
end

local function refuse(txn, status, headers, body)
	local reply = txn:reply({ status = status })
	for name, list in pairs(headers) do
		if not not_answered[name] then
			for _, value in ipairs(values(list)) do
				reply:add_header(name, value)
			end
		end
	end
	reply:set_body(body or "")
	txn:done(reply)
end

core.register_action("doorward", { "http-req" }, function(txn, doorward)
	txn:set_var("txn.doorward", "no")
	local credentials = txn.http:req_get_headers()["authorization"] -- the client's own, which Doorward may accept
	for _, name in ipairs(told) do
		txn.http:req_del_header(name)
	end
	for _, name in ipairs(forged) do
		txn.http:req_del_header(name)
	end

	local question = {}
	for name, list in pairs(txn.http:req_get_headers()) do
		if not not_asked[name] then
			question[name] = values(list)
		end
	end
	if credentials then
		question["authorization"] = values(credentials)
	end
	question["x-forwarded-host"] = { txn.f:req_hdr("host") }
	question["x-forwarded-uri"] = { txn.f:pathq() }
	question["x-forwarded-method"] = { txn.f:method() }
	question["x-forwarded-for"] = { txn.f:src() }

	local answer = core.httpclient():get({ url = doorward .. "/oauth2/auth?redirect=true", headers = question, timeout = 5000 })
	if answer == nil or answer.status == nil or answer.status == 0 then
		return refuse(txn, 503, {})
	end
	if answer.status < 200 or answer.status > 299 then
		return refuse(txn, answer.status, answer.headers, answer.body)
	end
	for _, name in ipairs(told) do
		if answer.headers[name] then
			txn.http:req_set_header(name, values(answer.headers[name])[1])
		end
	end
	if answer.headers["set-cookie"] then
		txn:set_priv(values(answer.headers["set-cookie"])) -- of a renewed session
	end
	keep_cookies(txn)
	txn:set_var("txn.doorward", "yes")
end, 1)

core.register_action("doorward_cookies", { "http-res" }, function(txn)
	for _, cookie in ipairs(txn:get_priv() or {}) do
		txn.http:res_add_header("set-cookie", cookie)
	end
end)
