"""The admin listener: health, readiness, metrics. Never reachable from the device side."""

import json
from dataclasses import asdict
from http import HTTPStatus

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from mtls_ambassador import __version__
from mtls_ambassador.web.access.gate import GATE, LARGEST_BODY, add_gate
from mtls_ambassador.web.api import add_api
from mtls_ambassador.web.context import CONTEXT, Context
from mtls_ambassador.web.page import add_page
from mtls_ambassador.web.scrape import scrape


def make_app(context: Context) -> web.Application:
    """`/health`, `/health/live`, `/health/ready`, `/metrics`, and the path Mender Gateway's deployments probe.

    A bad input does not make the gateway unready, for what was in force before still is: it is told by `/health` alone.
    """

    async def live(request: web.Request) -> web.Response:
        del request
        return web.json_response({"status": "ok", "version": __version__})

    async def ready(request: web.Request) -> web.Response:
        del request
        state = await context.readiness()
        status = HTTPStatus.OK if state.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response({"ready": state.is_ready, "parts": state.parts}, status=status)

    async def health(request: web.Request) -> web.Response:
        del request
        state, given = await context.readiness(), [*context.inputs(), *app[GATE].inputs()]
        word = "not ready" if not state.is_ready else "degraded" if any(item.fault for item in given) else "ok"
        answer = {"status": word, "ready": state.is_ready, "parts": state.parts, "inputs": list(map(asdict, given))}
        status = HTTPStatus.OK if state.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response(answer, status=status, dumps=lambda value: json.dumps(value, default=str))

    async def show_metrics(request: web.Request) -> web.Response:
        del request
        return web.Response(body=await scrape(context, app[GATE].inputs), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(client_max_size=LARGEST_BODY)
    app[CONTEXT] = context
    app.router.add_get("/health", health)
    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/api/internal/v1/gateway/alive", live)
    add_page(app)
    add_api(app)
    add_gate(app)
    return app
