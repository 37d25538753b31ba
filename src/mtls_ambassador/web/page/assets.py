"""Style, script and icon: a file each, under a name with the hash of what is in it, so that browsers may keep them."""

import hashlib
from functools import cache
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).parent / "static"
PREFIX = "/assets/"
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
FOR_EVER = "public, max-age=31536000, immutable"


@cache
def urls() -> dict[str, str]:
    """The path of each file by its own name."""
    return {path.name: f"{PREFIX}{_named(path)}" for path in sorted(FOLDER.iterdir()) if path.suffix in TYPES}


@cache
def _contents() -> dict[str, tuple[bytes, str]]:
    """Content and type by the name with the hash; read once, so that no name of a request ever touches the disk."""
    files = [path for path in FOLDER.iterdir() if path.suffix in TYPES]
    return {_named(path): (path.read_bytes(), TYPES[path.suffix]) for path in files}


def _named(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return f"{path.stem}.{digest}{path.suffix}"


async def serve(request: web.Request) -> web.Response:
    """One of the files; another version's name is not found, for the page that asks for it is outdated too."""
    found = _contents().get(request.match_info["name"])
    if found is None:
        raise web.HTTPNotFound
    body, kind = found
    headers = {"Cache-Control": FOR_EVER}
    return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)
