-- Refuses query parameters that the contract does not have, and says which it has.
--
-- The route's metadata holds the parameters of its method in `query`, name -> "once" or "many", and in `values` the
-- names that a parameter of an enum can have. Routes without it (gRPC, direct answers) are not looked at. All other
-- values are the transcoder's to judge.

local function decoded(text)
  local plain = text:gsub("+", " "):gsub("%%(%x%x)", function(digits) return string.char(tonumber(digits, 16)) end)
  return plain
end

local function shown(name)
  local printable = name:gsub("[^%w_.-]", "?")
  return printable:sub(1, 64)
end

local function refuse(request, reason, name, problem, allowed)
  table.sort(allowed)
  local choice = #allowed > 0 and "allowed: " .. table.concat(allowed, ", ") or "none is allowed here"
  local metadata = request:streamInfo():dynamicMetadata()
  metadata:set("optrading.query", "reason", reason)
  metadata:set("optrading.query", "field", shown(name))
  request:respond({[":status"] = "400"}, "query parameter `" .. shown(name) .. "` " .. problem .. "; " .. choice)
end

local function keys(map)
  local names = {}
  for name in pairs(map) do names[#names + 1] = name end
  return names
end

local function contains(list, wanted)
  for _, each in ipairs(list) do
    if each == wanted then return true end
  end
  return false
end

function envoy_on_request(request)
  local path = request:headers():get(":path")
  local mark = path:find("?", 1, true)
  if mark == nil then return end
  local allowed = request:metadata():get("query")
  if allowed == nil then return end
  local values = request:metadata():get("values") or {}
  local seen = {}
  for pair in path:sub(mark + 1):gmatch("[^&]+") do
    local name = decoded(pair:match("^[^=]*"))
    if allowed[name] == nil then
      return refuse(request, "UNKNOWN_QUERY_PARAMETER", name, "is not known", keys(allowed))
    end
    if seen[name] and allowed[name] == "once" then
      return refuse(request, "REPEATED_QUERY_PARAMETER", name, "is given more than once", keys(allowed))
    end
    local choice = values[name]
    if choice ~= nil and not contains(choice, decoded(pair:match("=(.*)$") or "")) then
      return refuse(request, "UNKNOWN_VALUE", name, "has a value that is not known", choice)
    end
    seen[name] = true
  end
end
