-- Replays a file of requests with wrk, one after the other and again from the start:
--   wrk … -s replay.lua URL -- FILE [FIRST]
-- The file holds each request as its length, a line feed, and its bytes. The last line that is printed
-- is for the program that started wrk.

local requests = {}
local turn = 0

function init(args)
   local file = assert(io.open(args[1], "rb"))
   while true do
      local length = file:read("*n")
      if not length then break end
      file:read(1)
      requests[#requests + 1] = file:read(length)
   end
   file:close()
   turn = tonumber(args[2] or 0) % #requests
end

function request()
   turn = turn + 1
   if turn > #requests then turn = 1 end
   return requests[turn]
end

function done(summary, latency)
   local errors = summary.errors
   io.write(string.format(
      "RESULT requests=%d duration_us=%d p50_us=%d p99_us=%d max_us=%d status=%d connect=%d read=%d write=%d timeout=%d\n",
      summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
      errors.status, errors.connect, errors.read, errors.write, errors.timeout))
end
