"""The real supervisor and the real Envoy with a stand-in for the decision service, for tests of the data plane.

Started without `--runtime` it is the gateway; the gateway starts it again with `--runtime` as the service, which
answers every call with what it received, as JSON.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from mtls_ambassador.flows import log, run_gateway
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.store_denials import StoreDenials
from mtls_ambassador.settings.load import load


async def told(request: web.Request) -> web.Response:
    """Answer with method, target, headers and body size; `?slow` waits half a second first."""
    body = await request.read()
    if "slow" in request.query:
        await asyncio.sleep(0.5)
    headers = [[key.decode("latin1"), value.decode("latin1")] for key, value in request.raw_headers]
    seen = {"method": request.method, "target": request.raw_path, "headers": headers, "bytes": len(body)}
    return web.json_response(seen | {"decision": os.getpid()})


async def serve(folder: Path) -> None:
    """Listen on the decision socket until SIGTERM."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    loop.add_signal_handler(signal.SIGUSR1, (folder / "draining").touch)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", told)
    runner = web.AppRunner(app, access_log=None, max_field_size=65536, max_line_size=65536, shutdown_timeout=5)
    await runner.setup()
    (folder / "store-denials.json").write_text(StoreDenials(0).to_json())
    (folder / "decision.sock").unlink(missing_ok=True)
    await web.UnixSite(runner, str(folder / "decision.sock")).start()
    await ended.wait()
    await runner.cleanup()


def main() -> int:
    """Be the service or the gateway; exit code as `mtls-ambassador run`."""
    if "--runtime" in sys.argv:
        asyncio.run(serve(Path(sys.argv[sys.argv.index("--runtime") + 1])))
        return 0
    settings = load(os.environ).settings
    log.configure(debug=settings.debug_log, form=settings.log_format)
    try:
        run_gateway.run(settings, [sys.executable, __file__])
    except AmbassadorError as error:
        sys.stderr.write(f"mtls-ambassador: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
