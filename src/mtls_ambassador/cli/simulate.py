"""`mtls-ambassador simulate`: many devices against a gateway, with a live display and a summary."""

import asyncio
import contextlib
import datetime as dt
import json
import resource
import secrets
import signal
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
import uvloop
from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.pki.issue import KeyKind, Pair, Validity, make_ca
from mtls_ambassador.sandbox.device import ClientStyle, DeviceConfig
from mtls_ambassador.sandbox.fleet import Action, FleetConfig, issue_each, new_report, run_fleet
from mtls_ambassador.sandbox.fleet_report import FleetReport
from mtls_ambassador.sandbox.pairs import read_certificates, read_pair

EXAMPLES = """Drive many simulated devices through a gateway: connect, enrol, send inventory, poll.

Each device gets a key and a certificate of its own, made in memory and signed by your CA; nothing is written. Exit 0
when every device came through, 1 when not.

\b
Examples:
  # 1 000 devices, the CA of the devices also being that of the gateway's certificate
  mtls-ambassador simulate --url https://gateway:443 --devices 1000 --ca ca-cert.pem --issuer-key ca-private.key
  # at most 50 new devices a second, ten inventories and polls each, for five minutes at most
  mtls-ambassador simulate --url https://gateway --devices 5000 --ca ca-cert.pem --issuer-key ca-private.key \\
      --rate 50 --rounds 10 --max-time 300
  # the same devices as the last time, with new keys: a key rotation
  mtls-ambassador simulate ... --name line7
  # install whatever deployment is offered; print JSON for a script
  mtls-ambassador simulate ... --steps enrol,inventory,update --json
"""
SPARE_FILES = 100
FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


def _choice(values: type[StrEnum]) -> click.Choice[str]:
    """By value; click itself would take an enumeration's names."""
    return click.Choice([str(value) for value in values])


def _steps(_context: click.Context, _option: click.Parameter, value: str) -> tuple[Action, ...]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    unknown = [name for name in names if name not in set(Action)]
    if unknown or not names:
        raise click.BadParameter(f"{', '.join(unknown) or 'nothing'}: of {', '.join(Action)}, joined by commas")
    if Action.ENROL not in names:
        raise click.BadParameter("enrol must be among them: every other step needs the token it brings")
    return tuple(Action(name) for name in dict.fromkeys(names))


def _url(_context: click.Context, _option: click.Parameter, value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in {"https", "http"} and parts.hostname and parts.path in {"", "/"} and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise click.BadParameter(f"{value}: scheme, host and perhaps port, such as https://gateway.example.com:443")
    return value


@click.command(help=EXAMPLES)
@click.option("--url", required=True, callback=_url, help="The gateway's device address.")
@click.option("--devices", required=True, type=click.IntRange(1, 1_000_000), help="How many devices.")
@click.option("--ca", type=FILE, help="CA certificate (PEM): signs the devices, and the server's must chain to it.")
@click.option("--issuer-key", type=FILE, help="Private key of the CA, or of --issuer-cert.")
@click.option("--issuer-cert", type=FILE, help="The CA that signs the devices, when it is not --ca.")
@click.option("--issuer-passphrase-file", type=FILE, help="File with the passphrase of --issuer-key, if encrypted.")
@click.option("--cert", type=FILE, help="One certificate for all devices, instead of --issuer-key.")
@click.option("--key", type=FILE, help="Private key of --cert.")
@click.option("--server-ca", type=FILE, help="CA of the server's certificate, when it is not --ca.")
@click.option("--server-name", default="", help="Name to check and send by SNI, when it is not the host of --url.")
@click.option("--no-server-name-check", is_flag=True, help="Take any name in the server's certificate. For trying out.")
@click.option("--steps", default="enrol,inventory,poll", show_default=True, callback=_steps, help=", ".join(Action))
@click.option("--rounds", default=1, show_default=True, type=click.IntRange(1), help="How often each step but enrol.")
@click.option(
    "--concurrency", default=100, show_default=True, type=click.IntRange(1, 20_000), help="Devices at a time."
)
@click.option("--rate", default=0.0, type=click.FloatRange(0), help="New devices per second at most.")
@click.option("--retries", default=2, show_default=True, type=click.IntRange(0, 20), help="After 429, 5xx, no answer.")
@click.option("--max-time", default=0.0, type=click.FloatRange(0), help="End after so many seconds.")
@click.option("--timeout", default=60.0, show_default=True, type=click.FloatRange(0.1), help="Seconds for an answer.")
@click.option("--name", default="", help="Devices are <name>-1, <name>-2 ...; without it, new ones each time.")
@click.option("--key-kind", default="p256", show_default=True, type=_choice(KeyKind), help="Of the devices' keys.")
@click.option("--style", default="go", show_default=True, type=_choice(ClientStyle), help="Mender 3.x or 4.x+.")
@click.option("--tenant-token-file", type=FILE, help="File with the tenant token; hosted Mender wants one.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def command(url: str, *, as_json: bool, **options: Any) -> int:  # noqa: ANN401 - click's values, typed by its options
    """Run the fleet and print the summary; returns the exit code."""
    config = _config(url, **options)
    _allow_files(config.concurrency)
    report = new_report(config)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(config, report, quiet=as_json))
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=2))
    else:
        from mtls_ambassador.cli.simulate_view import print_summary  # noqa: PLC0415 - rich takes time to import

        print_summary(report)
    return 0 if report.complete else 1


async def _run(config: FleetConfig, report: FleetReport, *, quiet: bool) -> None:
    """The fleet until it is done; Ctrl-C or SIGTERM ends it early and keeps what was counted."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - we are in one

    def stop() -> None:
        report.stopped = "interrupted"
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    if quiet:
        display: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    else:
        from mtls_ambassador.cli.simulate_view import live  # noqa: PLC0415 - rich takes time to import

        display = live(report)
    with display:
        try:
            await run_fleet(config, report)
        except asyncio.CancelledError:
            task.uncancel()


def _config(url: str, **options: Any) -> FleetConfig:  # noqa: ANN401 - click's values, typed by its options
    server_ca = options["server_ca"] or options["ca"]
    is_tls = url.startswith("https:")
    if is_tls and server_ca is None:
        raise UsageError("give --ca, or --server-ca, so that the server's certificate can be checked")
    token = options["tenant_token_file"]
    base = DeviceConfig(
        url=url,
        identity={},
        ca_pem=_pem(server_ca) if is_tls and server_ca is not None else b"",
        tenant_token=token.read_text().strip() if token else "",
        style=ClientStyle(options["style"]),
        server_hostname=options["server_name"],
        check_hostname=not options["no_server_name_check"],
        timeout=options["timeout"],
    )
    return FleetConfig(
        devices=options["devices"],
        base=base,
        pair_of=_pair_of(is_tls=is_tls, **options),
        name=options["name"] or f"sim-{secrets.token_hex(3)}",
        actions=options["steps"],
        rounds=options["rounds"],
        concurrency=options["concurrency"],
        rate=options["rate"],
        retries=options["retries"],
        max_time=options["max_time"],
    )


def _pair_of(*, is_tls: bool, **options: Any) -> Callable[[str], Pair]:  # noqa: ANN401 - click's values
    """Where the devices' certificates come from: one for all, or each its own from the CA."""
    now = dt.datetime.now(dt.UTC)
    cert, key, issuer_key = options["cert"], options["key"], options["issuer_key"]
    if (cert is None) != (key is None):
        raise UsageError("--cert and --key go together")
    if cert is not None and issuer_key is not None:
        raise UsageError("--cert gives all devices one certificate, --issuer-key each its own: take one of them")
    if cert is not None:
        shared = read_pair(cert, key)
        return lambda _name: shared
    issuer_cert = options["issuer_cert"] or options["ca"]
    if issuer_key is not None and issuer_cert is not None:
        issuer = read_pair(issuer_cert, issuer_key, options["issuer_passphrase_file"])
    elif is_tls:
        raise UsageError("give --issuer-key with --ca to make certificates, or --cert and --key for one that exists")
    else:
        issuer = make_ca("simulate", Validity.days(now, 1))
    return issue_each(issuer, KeyKind(options["key_kind"]), now)


def _pem(path: Path) -> bytes:
    """The certificates of a file alone: OpenSSL takes no key or text beside them."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in read_certificates(path))


def _allow_files(concurrency: int) -> None:
    """Let this process open a socket for each device at a time; raises AmbassadorError when the system will not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = concurrency + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise AmbassadorError(f"--concurrency {concurrency} needs {wanted} open files and the limit is {hard}")
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
