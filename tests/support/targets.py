"""A request's target as the most obliging server could take it."""

import re
from urllib.parse import unquote

_OVERLONG = re.compile(r"%(?:c[01]|e0%[89][0-9a-f]|f0%8[0-9a-f]%[89ab][0-9a-f])%([89ab][0-9a-f])", re.IGNORECASE)
"""An ASCII character in more bytes than it needs; decoders before RFC 3629 took it for that character."""
_UNICODE = re.compile(r"%u00([0-9a-f]{2})", re.IGNORECASE)
"""As no standard has it, but servers did."""


def as_any_server_might_read(target: str) -> str:
    """The target decoded until nothing changes, backslashes turned, dot segments and parameters gone, in lower case."""
    path, last = target.partition("?")[0], ""
    while path != last:
        last = path
        path = unquote(_UNICODE.sub(r"%\1", _OVERLONG.sub(_short, path)))
    parts: list[str] = []
    for raw in path.replace("\\", "/").lower().split("/"):
        part = re.sub("[\0-\x1f\x7f]", "", raw.partition(";")[0]).strip()
        if part == "..":
            parts = parts[:-1]
        elif part not in {"", "."}:
            parts.append(part)
    return "/".join(parts)


def _short(found: re.Match[str]) -> str:
    low = int(found[1], 16) & 0x3F
    lead = found[0][1:3].lower()
    return f"%{low | 0x40 if lead == 'c1' else low:02x}"
