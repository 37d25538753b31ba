"""`mtls-ambassador pki server`: the gateway's key and certificate."""

import ipaddress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtls_ambassador.cli.pki_issue import KINDS, chosen_backdate, chosen_days, issue_options, issuing, tell
from mtls_ambassador.model.errors import UsageError

if TYPE_CHECKING:
    from mtls_ambassador.pki.profiles import IpAddress

EPILOG = """\b
Examples:
  mtls-ambassador pki server my-server.com --dns my-server.com --out gateway
  mtls-ambassador pki server lab --dns localhost --ip 127.0.0.1 --ip ::1 --out lab
"""
CERTIFICATE = "server.crt"
KEY = "server.key"
DAYS = 730


@click.command("server", epilog=EPILOG)
@click.argument("name")
@click.option("--dns", multiple=True, help="A name it is reached by.")
@click.option("--ip", "ips", multiple=True, help="An address it is reached by.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the files.  [default: NAME]")
@click.option("--subject", default="", help="Further fields, such as 'O=My Organization,C=NO'.")
@click.option("--key-type", type=click.Choice(KINDS), default="p256", show_default=True)
@issue_options(DAYS)
def command(name: str, **options: Any) -> None:  # noqa: ANN401 - what click read
    """Make the key and certificate of the gateway NAME: `server.key` and `server.crt`, for every --dns and --ip.

    The certificate is followed by the issuing CA's, as TLS clients expect. The same command again finishes what a
    crash left.
    """
    from mtls_ambassador.flows.issue_one import KeyFile, Request  # noqa: PLC0415 - slow to load
    from mtls_ambassador.pki.issue import KeyKind  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.profiles import ServerProfile, server_certificate  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.subject import parse_subject  # noqa: PLC0415 - see above

    if not options["dns"] and not options["ips"]:
        raise UsageError("give --dns NAME or --ip ADDRESS, as devices will reach it: clients look nowhere else")
    subject = parse_subject(options["subject"]) if options["subject"] else ()
    profile = ServerProfile(
        options["dns"], parse_ips(options["ips"]), subject, chosen_days(options, DAYS), chosen_backdate(options)
    )
    out = options["out"] or Path(name)
    files = {"certificate": out / CERTIFICATE, "key": out / KEY}
    with issuing(options) as at:
        validity = at.validity(options, profile)
        request = Request(
            name,
            "server",
            KeyFile(files["key"], KeyKind(options["key_type"])),
            lambda key, serial: server_certificate(at.authority, profile, key, serial, validity),
            files["certificate"],
            at.authority.intermediates,
            options["again"],
        )
        outcome = at.issue(request)
    tell(outcome, name, files, as_json=options["as_json"])


def parse_ips(texts: tuple[str, ...]) -> tuple["IpAddress", ...]:
    """The addresses of --ip."""
    try:
        return tuple(ipaddress.ip_address(text) for text in texts)
    except ValueError as error:
        raise UsageError(f"--ip: {error}") from error
