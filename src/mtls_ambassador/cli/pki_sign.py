"""`mtls-ambassador pki sign`: sign a certificate request."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtls_ambassador.cli.pki_device import device_profile
from mtls_ambassador.cli.pki_issue import Issuing, chosen_backdate, chosen_days, issue_options, issuing, tell
from mtls_ambassador.cli.pki_server import parse_ips
from mtls_ambassador.model.errors import AmbassadorError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

    from mtls_ambassador.pki.csr import Csr
    from mtls_ambassador.pki.profiles import PublicKey

    Build = Callable[[PublicKey, int], x509.Certificate]

EPILOG = """\b
Examples:
  mtls-ambassador pki sign device-cert.req --out device-cert.pem
  mtls-ambassador pki sign device-cert.req --name dev-000001 --subject 'CN={name},O=My Organization'
  mtls-ambassador pki sign server-cert.req --server --dns my-server.com --out server-cert.pem
"""
SERVER_DAYS = 730


@click.command("sign", epilog=EPILOG)
@click.argument("csr_path", metavar="CSR", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The certificate.  [default: CSR with the ending .pem]")
@click.option("--name", help="Name of the device or server.  [default: the CSR's common name]")
@click.option("--subject", default="CN={name}", show_default=True, help="Fields of the subject; {name} is the name.")
@click.option("--csr-subject", "takes_subject", is_flag=True, help="Take the subject of the CSR as it is.")
@click.option("--san-uri", help="Alternative name; empty for none.  [default: urn:x-mender-device:{name}]")
@click.option("--server", "is_server", is_flag=True, help="For a server, not for a device; needs --dns or --ip.")
@click.option("--dns", multiple=True, help="With --server: a name it is reached by.")
@click.option("--ip", "ips", multiple=True, help="With --server: an address it is reached by.")
@issue_options(3650)
def command(csr_path: Path, **options: Any) -> None:  # noqa: ANN401 - what click read
    """Sign the certificate request CSR (PEM or DER), whose private key stays where it was made.

    The signature of the request must prove that it was made with the key. Of the request the public key is taken, and
    the common name as the name unless --name says another: what the certificate says is for you to decide, by
    --subject, not for who asks. Extensions of the request, names for servers included, are not taken.
    """
    from mtls_ambassador.flows.issue_one import GivenKey, Request  # noqa: PLC0415 - slow to load
    from mtls_ambassador.pki.csr import read_csr  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.files import read_file  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.order import name_fault  # noqa: PLC0415 - see above

    csr = read_csr(read_file(csr_path, "the certificate request"), csr_path)
    name = options["name"] or csr.common_name
    if not name:
        raise UsageError(f"{csr_path}: has no common name; give --name")
    if not options["is_server"] and (fault := name_fault(name)):
        raise AmbassadorError(f"{fault}; give another by --name")
    out = options["out"] or csr_path.with_suffix(".pem")
    make = _server if options["is_server"] else _device
    kind = "server" if options["is_server"] else "device"
    with issuing(options) as at:
        build = make(at, csr, name, options)
        chain = at.authority.intermediates if options["is_server"] else ()
        request = Request(name, kind, GivenKey(csr.public_key), build, out, chain, options["again"])
        outcome = at.issue(request)
    tell(outcome, name, {"certificate": out}, as_json=options["as_json"])


def _device(at: Issuing, csr: "Csr", name: str, options: dict[str, Any]) -> "Build":
    from dataclasses import replace  # noqa: PLC0415 - used here only

    from mtls_ambassador.pki.profiles import device_certificate  # noqa: PLC0415 - slow to load

    profile = device_profile(options)
    if options["takes_subject"]:
        # Braces of a stranger's text are no places of a template.
        profile = replace(profile, subject=())
    fields = csr.subject if options["takes_subject"] else ()
    validity = at.validity(options, profile)
    return lambda key, serial: device_certificate(at.authority, profile, name, fields, key, serial, validity)


def _server(at: Issuing, csr: "Csr", name: str, options: dict[str, Any]) -> "Build":
    from mtls_ambassador.pki.profiles import ServerProfile, server_certificate  # noqa: PLC0415 - slow to load

    del name
    if not options["dns"] and not options["ips"]:
        asked = ", ".join([*(f"--dns {item}" for item in csr.dns), *(f"--ip {item}" for item in csr.ips)])
        hint = f"; the request asks for {asked}" if asked else ""
        raise UsageError(f"--server needs --dns NAME or --ip ADDRESS, as devices will reach it{hint}")
    others = tuple(item for item in csr.subject if item[0] != "CN") if options["takes_subject"] else ()
    profile = ServerProfile(
        options["dns"], parse_ips(options["ips"]), others, chosen_days(options, SERVER_DAYS), chosen_backdate(options)
    )
    validity = at.validity(options, profile)
    return lambda key, serial: server_certificate(at.authority, profile, key, serial, validity)
