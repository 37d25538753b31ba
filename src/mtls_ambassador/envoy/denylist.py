"""The denylist in Envoy: a Lua filter that looks each call's certificate up in a sorted file of serials.

A million serials are in force in a third of a second and take 44 bytes each and worker; Envoy's own matcher needs more
than a kilobyte for each, and seconds for a hundred thousand (docs/decisions).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtls_ambassador.decide.denylist import HEAD, SERIAL, WIDTH

FILTER = "denylist"
TYPES = "type.googleapis.com/envoy.extensions.filters.http.lua.v3"
LUA_TYPE = f"{TYPES}.Lua"
METADATA = "mtls_ambassador"
"""Under this name a refused call's metadata say `denied`: by what kind of denial, for the log."""

_SCRIPT = """
local WIDTH, SERIAL, HEAD = %(width)d, %(serial)d, %(head)d
local ISSUERS = {%(issuers)s}
local EVERY = {%(every)s}
local KNOWN = {%(known)s}
local SPANS = {%(spans)s}
local DENIED = {%(denied)s}
local IGNORES_END = %(ignores_end)s
local RECORDS

local function holds(record)
  local low, high = 0, #RECORDS / WIDTH
  while low < high do
    local middle = math.floor((low + high) / 2)
    local found = RECORDS:sub(middle * WIDTH + 1, middle * WIDTH + WIDTH)
    if found == record then return true end
    if found < record then low = middle + 1 else high = middle end
  end
  return false
end

local function why(tls)
  local serial = tls:serialNumberPeerCertificate():lower()
  local issuer = tls:issuerPeerCertificate()
  local begins = tls:validFromPeerCertificate()
  local unknown = not KNOWN[issuer]
  if serial == "" or #serial > SERIAL then return "unknown" end
  if DENIED[issuer] or (unknown and next(DENIED)) then return "ca" end
  for _, span in ipairs(SPANS) do
    if (unknown or span[1] == "" or span[1] == issuer) and begins >= span[2] and begins < span[3] then
      return "dates"
    end
  end
  local now = os.time()
  if begins > now then return "not-yet-valid" end
  if not IGNORES_END and tls:expirationPeerCertificate() < now then return "expired" end
  if #RECORDS == 0 then return nil end
  local padded = string.rep("0", SERIAL - #serial) .. serial
  if holds("0000" .. padded) then return "serial" end
  if unknown then
    for _, number in ipairs(EVERY) do
      if holds(number .. padded) then return "serial" end
    end
  elseif ISSUERS[issuer] and holds(ISSUERS[issuer] .. padded) then
    return "serial"
  end
  return nil
end

function envoy_on_request(handle)
  local ok, reason = pcall(function() return why(handle:streamInfo():downstreamSslConnection()) end)
  if not ok then
    handle:logErr("denylist: " .. tostring(reason))
    handle:respond({[":status"] = "503"}, "service unavailable")
  elseif reason then
    handle:streamInfo():dynamicMetadata():set("%(metadata)s", "denied", reason)
    handle:respond({[":status"] = "401"}, "unauthorized (certificate-denied)")
  end
end

-- Last: Envoy goes on without a script that fails on a worker, and what is above then answers 503 to all.
local function read(path)
  local file = assert(io.open(path, "rb"))
  local length = assert(tonumber(file:read(HEAD), 16))
  file:seek("cur", length)
  local records = file:read("*a")
  file:close()
  assert(#records == %(size)d, "the list of serials is not whole")
  return records
end

RECORDS = read("%(path)s")
"""


@dataclass(frozen=True, slots=True)
class DenylistFile:
    """A packed list (`decide.denylist`) on the disk, and what of it the filter is told."""

    path: Path
    size: int
    """Bytes of its records."""
    issuers: Mapping[str, int] = field(default_factory=dict)
    """Numbers of CAs of the bundle, by the text Envoy has for them."""
    every: tuple[int, ...] = ()
    """The numbers of all issuers."""
    known: tuple[str, ...] = ()
    """The CAs of the bundle, by the text Envoy has for them where that is certain."""
    spans: tuple[tuple[str, int, int], ...] = ()
    """Issuer (Envoy's text, empty for any, `?` for one that is not known), and begin and end in seconds since 1970."""
    denied_issuers: tuple[str, ...] = ()
    ignores_end: bool = False
    """A certificate's end does not matter (`MTLS_INSECURE_SKIP_CLIENT_EXPIRE_AFTER`)."""


def lua_filter(file: DenylistFile) -> dict[str, Any]:
    """The filter's configuration. Fails closed: what the script cannot tell is refused, and its own fault is 503."""
    script = _SCRIPT % {
        "width": WIDTH,
        "serial": SERIAL,
        "head": HEAD,
        "issuers": ", ".join(f'[{_quoted(text)}] = "{number:04x}"' for text, number in file.issuers.items()),
        "every": ", ".join(f'"{number:04x}"' for number in file.every),
        "known": ", ".join(f"[{_quoted(text)}] = true" for text in file.known),
        "spans": ", ".join(f"{{{_quoted(text)}, {begins}, {ends}}}" for text, begins, ends in file.spans),
        "denied": ", ".join(f"[{_quoted(text)}] = true" for text in file.denied_issuers),
        "ignores_end": "true" if file.ignores_end else "false",
        "size": file.size,
        "path": file.path,
        "metadata": METADATA,
    }
    return {"@type": LUA_TYPE, "default_source_code": {"inline_string": script}}


def _quoted(text: str) -> str:
    """A Lua string: every byte that could mean something by its number."""
    plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 =,.-_"
    return '"' + "".join(chr(byte) if chr(byte) in plain else f"\\{byte:03d}" for byte in text.encode()) + '"'


def off_on_route() -> dict[str, Any]:
    """For a route that the decision service answers, which knows more and writes it down."""
    return {FILTER: {"@type": f"{TYPES}.LuaPerRoute", "disabled": True}}
