"""The peer of the decision service: the same libraries, the same call passed on, no decision: `peer.py SOCKET URL`."""

import asyncio
import sys

import aiohttp
import uvloop
from aiohttp import web

DROPPED = {"host", "content-length", "connection", "transfer-encoding"}


async def serve(path: str, upstream: str) -> None:
    async with aiohttp.ClientSession(auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def pass_on(request: web.Request) -> web.Response:
            headers = {name: value for name, value in request.headers.items() if name.lower() not in DROPPED}
            body = await request.read()
            async with session.post(upstream + request.path, data=body, headers=headers) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in DROPPED}
                return web.Response(status=answer.status, body=await answer.read(), headers=kept)

        app = web.Application()
        app.router.add_post("/{path:.*}", pass_on)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.UnixSite(runner, path).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], sys.argv[2]))
