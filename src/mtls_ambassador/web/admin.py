"""The admin listener: health, readiness, metrics. Never reachable from the device side."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mtls_ambassador import __version__
from mtls_ambassador.web.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the gateway takes devices, and by which part it does not."""

    parts: dict[str, str]
    """By part: "ok" or what is wrong."""

    @property
    def is_ready(self) -> bool:
        """Every part is well."""
        return all(state == "ok" for state in self.parts.values())


def make_app(readiness: Callable[[], Awaitable[Readiness]], metrics: Metrics) -> web.Application:
    """`/health/live`, `/health/ready`, `/metrics`, and the liveness path Mender Gateway's deployments probe."""

    async def live(request: web.Request) -> web.Response:
        del request
        return web.json_response({"status": "ok", "version": __version__})

    async def ready(request: web.Request) -> web.Response:
        del request
        state = await readiness()
        status = HTTPStatus.OK if state.is_ready else HTTPStatus.SERVICE_UNAVAILABLE
        return web.json_response({"ready": state.is_ready, "parts": state.parts}, status=status)

    async def show_metrics(request: web.Request) -> web.Response:
        del request
        metrics.ready.set(int((await readiness()).is_ready))
        body = generate_latest(metrics.registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/health/live", live)
    app.router.add_get("/health/ready", ready)
    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/api/internal/v1/gateway/alive", live)
    return app
