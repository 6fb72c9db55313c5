-- The action `lua.hallpass`: asks hallpass about the request, and ends it when the answer is no.
--
-- HALLPASS_URL is where hallpass listens; without it, http://127.0.0.1:8080.

local url = (os.getenv("HALLPASS_URL") or "http://127.0.0.1:8080") .. "/v1/authorize/forwarded"

-- What hallpass says about the credential. The client's own were removed before.
local identity = {
    "x-auth-identity", "x-auth-account-id", "x-auth-actor-id", "x-auth-key-id",
    "x-auth-session-id", "x-auth-environment", "x-auth-scope", "x-auth-token",
}

-- What a client is told about a refusal.
local told = {
    "content-type", "www-authenticate", "x-auth-reason", "retry-after",
    "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset",
}

local dimensions = { project = true, workspace = true, bot = true, integration = true }

-- Which of the client's headers hallpass needs, all values of each. Those of impersonation and
-- bindings go in each spelling: what hallpass cannot read, it refuses.
local function asked(name)
    return name == "authorization" or name == "origin"
        or name:match("^x[-_.]?run[-_.]?as") ~= nil
        or dimensions[name:match("^x[-_.](%a+)[-_.]id$")] ~= nil
end

local function refuse(txn, status, answer)
    local reply = txn:reply()
    reply:set_status(status)
    for _, name in ipairs(told) do
        for _, value in pairs(answer.headers and answer.headers[name] or {}) do
            reply:add_header(name, value)
        end
    end
    reply:set_body(answer.body or "")
    txn:done(reply)
end

core.register_action("hallpass", { "http-req" }, function(txn)
    local headers = {
        ["x-forwarded-method"] = { txn.sf:method() },
        ["x-forwarded-uri"] = { txn.sf:pathq() },
        ["x-forwarded-host"] = { txn.sf:req_hdr("host") },
        ["x-forwarded-proto"] = { txn.sf:ssl_fc() == "1" and "https" or "http" },
        ["x-forwarded-for"] = { txn.sf:src() },
    }
    for name, values in pairs(txn.http:req_get_headers()) do
        if asked(name) then
            headers[name] = {}
            -- HAProxy counts from 0.
            for index = 0, #values do
                table.insert(headers[name], values[index])
            end
        end
    end

    local answer = core.httpclient():get({ url = url, headers = headers, timeout = 5000 })
    -- What hallpass cannot read as HTTP it does not judge, and no client should send.
    if answer ~= nil and answer.status == 400 then
        return refuse(txn, 400, {})
    end
    if answer == nil or (answer.status ~= 200 and answer.status ~= 401 and answer.status ~= 403) then
        return refuse(txn, 503, {})
    end
    if answer.status ~= 200 then
        local reason = answer.headers["x-auth-reason"]
        -- A gateway is told of a rate limit by 403.
        local limited = answer.status == 403 and reason ~= nil and reason[0] == "rate_limited"
        return refuse(txn, limited and 429 or answer.status, answer)
    end
    for _, name in ipairs(identity) do
        local values = answer.headers[name]
        txn.http:req_set_header(name, values and values[0] or "")
    end
end)
