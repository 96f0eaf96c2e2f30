-- wrk's requests: POST, the bodies of the file BENCH_BODIES (one a line) in turn, with the key BENCH_KEY.
-- The mark in a body becomes the number of the pass through the file, counted from BENCH_FIRST_PASS.
-- At the end one line of JSON: what came back, and what failed.
local MARK = "@@@@@@@@"
local heads, tails = {}, {}
local index, pass, pass_text = 0, 0, ""

function init(args)
  wrk.headers["content-type"] = "application/json"
  wrk.headers["authorization"] = "Bearer " .. (os.getenv("BENCH_KEY") or "")
  for body in io.lines(os.getenv("BENCH_BODIES")) do
    local whole = wrk.format("POST", nil, nil, body)
    local from, to = whole:find(MARK, 1, true)
    heads[#heads + 1] = from and whole:sub(1, from - 1) or whole
    tails[#tails + 1] = from and whole:sub(to + 1) or false
  end
  pass = tonumber(os.getenv("BENCH_FIRST_PASS") or "1")
  pass_text = string.format("%08d", pass)
end

function request()
  index = index + 1
  if index > #heads then
    index, pass = 1, pass + 1
    pass_text = string.format("%08d", pass)
  end
  local tail = tails[index]
  return tail and heads[index] .. pass_text .. tail or heads[index]
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests":%d,"duration_us":%d,"bytes":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
    summary.requests, summary.duration, summary.bytes, e.connect, e.read, e.write, e.status, e.timeout))
end
