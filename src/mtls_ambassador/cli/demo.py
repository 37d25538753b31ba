"""`mtls-ambassador demo`: the whole story on this machine."""

import asyncio
import signal

import click

from mtls_ambassador.sandbox.demo import Demo
from mtls_ambassador.sandbox.real_client import RealClient

MARKS = {"done": ("✔", "green"), "failed": ("✘", "red"), "command": (" ", "cyan")}
EPILOG = """\b
Examples:
  mtls-ambassador demo                 play it, then keep everything running until Ctrl-C
  mtls-ambassador demo --once          play it and exit: 0 when all came through, 1 when not
  mtls-ambassador demo --devices 20 --no-real-client
"""


@click.command(epilog=EPILOG)
@click.option("--once", is_flag=True, help="Exit when the story is told, instead of running on until Ctrl-C.")
@click.option("--devices", type=click.IntRange(1, 200), default=5, show_default=True, help="Simulated devices.")
@click.option(
    "--real-client/--no-real-client",
    default=None,
    help="Boot Mender's own client too.  [default: when mender-client is installed and you are root]",
)
def command(devices: int, *, once: bool, real_client: bool | None) -> int:
    """Make certificates, start a small Mender server and the gateway, boot devices, and show who got in and why not.

    Everything is thrown away at the end; only addresses of this machine are used.
    """
    missing = RealClient.available()
    if real_client and missing:
        raise click.ClickException(f"the real client cannot run here: {missing}")
    use = not missing if real_client is None else real_client
    demo = Demo(_Teller(), devices, use_real_client=use)
    if real_client is None and missing:
        click.echo(f"Only simulated devices: {missing}.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return asyncio.run(_play(demo, once=once))
    except KeyboardInterrupt:
        click.echo("\nEnded; everything the demo made is gone.")
        return 0 if demo.went_well else 1


async def _play(demo: Demo, *, once: bool) -> int:
    async with demo.running() as (gateway, sandbox):
        _summary(demo)
        click.echo(f"\n  Mender server (sandbox)  {sandbox.url}/")
        click.echo(f"  gateway                  {gateway.url}/status  (asks for a client certificate)")
        click.echo(f"  health and metrics       {gateway.admin}/health/ready  {gateway.admin}/metrics")
        if not once:
            click.echo("\nRunning on; Ctrl-C ends it.")
            await asyncio.Event().wait()
    return 0 if demo.went_well else 1


class _Teller:
    """Prints what happens as it happens."""

    def __init__(self) -> None:
        self._number = 0

    def __call__(self, kind: str, text: str) -> None:
        if kind == "step":
            self._number += 1
            click.secho(f"\n{self._number}. {text}", bold=True)
            return
        mark, colour = MARKS[kind]
        click.echo(
            click.style(f"   {mark} ", fg=colour) + (click.style(text, fg=colour) if kind == "command" else text)
        )


def _summary(demo: Demo) -> None:
    click.secho("\nAccepted by the Mender server", bold=True)
    for device in sorted(demo.accepted, key=lambda item: item.identity):
        click.echo(f"   {device.identity:<30} {device.status.value:<10} {device.id}")
    click.secho("\nNot accepted", bold=True)
    for result in demo.results:
        if not result.outcome.startswith("accepted"):
            click.echo(f"   {result.name:<12} {result.what}\n   {'':<12} {result.outcome}")
