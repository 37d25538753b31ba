"""`mtls-ambassador pki device`: one device's key and certificate."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtls_ambassador.cli.pki_handover import configuration
from mtls_ambassador.cli.pki_issue import KINDS, chosen_backdate, chosen_days, issue_options, issuing, tell
from mtls_ambassador.model.errors import AmbassadorError, UsageError

if TYPE_CHECKING:
    from mtls_ambassador.pki.profiles import DeviceProfile

EPILOG = """\b
Examples:
  mtls-ambassador pki device dev-000001
  mtls-ambassador pki device dev-000001 --out dev-000001 --mender-conf mender.conf --server-url https://my-server.com
  mtls-ambassador pki device dev-000001 --subject 'CN={name},O=My Organization,C=NO' --no-expiry
"""
DAYS = 3650
ON_DEVICE = "/data/mender"


@click.command("device", epilog=EPILOG)
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the files.  [default: NAME]")
@click.option("--subject", default="CN={name}", show_default=True, help="Fields of the subject; {name} is the name.")
@click.option("--san-uri", help="Alternative name; empty for none.  [default: urn:x-mender-device:{name}]")
@click.option("--key-type", type=click.Choice(KINDS), default="p256", show_default=True)
@click.option("--mender-conf", type=click.Path(path_type=Path), help="Write OUT/mender.conf, from this file if there.")
@click.option("--server-url", help="For --mender-conf: the gateway's address, such as https://my-server.com.")
@click.option("--device-dir", default=ON_DEVICE, show_default=True, help="For --mender-conf: the files' folder there.")
@issue_options(DAYS)
def command(name: str, **options: Any) -> None:  # noqa: ANN401 - what click read
    """Make the key and certificate of the device NAME: `mender-cert-private.pem` and `mender-cert.pem`.

    The serial is recorded before anything is signed. The same command again finishes what a crash left; files are
    never overwritten.
    """
    from mtls_ambassador.flows.batch_files import CERTIFICATE, KEY  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.issue_one import KeyFile, Request  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.issue import KeyKind  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.order import name_fault  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.profiles import device_certificate  # noqa: PLC0415 - see above

    if fault := name_fault(name):
        raise UsageError(fault)
    profile = device_profile(options)
    out = options["out"] or Path(name)
    conf = configuration(options)
    files = {"certificate": out / CERTIFICATE, "key": out / KEY}
    with issuing(options) as at:
        validity = at.validity(options, profile)
        request = Request(
            name,
            "device",
            KeyFile(files["key"], KeyKind(options["key_type"])),
            lambda key, serial: device_certificate(at.authority, profile, name, (), key, serial, validity),
            files["certificate"],
            again=options["again"],
        )
        outcome = at.issue(request)
    if conf is not None:
        files["mender.conf"] = _write_configuration(out, options["mender_conf"], conf)
    tell(outcome, name, files, as_json=options["as_json"])


def device_profile(options: dict[str, Any]) -> "DeviceProfile":
    """The profile of --subject, --san-uri, --days, --no-expiry and --backdate."""
    from mtls_ambassador.pki.profiles import DeviceProfile  # noqa: PLC0415 - slow to load
    from mtls_ambassador.pki.subject import parse_subject  # noqa: PLC0415 - see above

    uri = DeviceProfile().san_uri if options["san_uri"] is None else options["san_uri"]
    return DeviceProfile(parse_subject(options["subject"]), uri, chosen_days(options, DAYS), chosen_backdate(options))


def _write_configuration(out: Path, source: Path, data: bytes) -> Path:
    from mtls_ambassador.flows.batch_files import CONFIGURATION  # noqa: PLC0415 - slow to load
    from mtls_ambassador.pki.files import read_file, replace, write_new  # noqa: PLC0415 - see above

    path = out / CONFIGURATION
    if not path.exists():
        write_new(path, data)
    elif path.resolve() == source.resolve():
        replace(path, data)
    elif read_file(path, "the configuration") != data:
        raise AmbassadorError(f"{path} is there already, with other contents, and is never overwritten")
    return path
