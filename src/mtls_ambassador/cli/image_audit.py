"""`mtls-ambassador image audit`: what is wrong with images, before they are shipped."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtls_ambassador.cli.pki_store import json_option, now, parse_span, pki_folder, pki_option
from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.model.finding import Finding, Level

if TYPE_CHECKING:
    from cryptography import x509

    from mtls_ambassador.flows.audit_images import Audited

EPILOG = """\b
Examples:
  mtls-ambassador image audit order-1 --golden golden.sdimg
  mtls-ambassador image audit cam-000042.sdimg --server-url https://my-server.com --json
  mtls-ambassador image audit /dev/sdb --ca-file trust.pem
\b
Looked for, in root file system A and B: two images with one key or certificate; a key that is not the certificate's; a
certificate that is not of our CA, expired, or ending soon; a key others may read (also that of AuthPrivateKey), or with
mode 0130 (`mender-artifact install -m 600`); a server no device reaches, or which is not the gateway; a CA file that is
missing; AuthPrivateKey missing for clients 4.x; what was left in the golden image: mender-agent.pem, an old store,
another key or certificate; a file system that was not unmounted; a patch that says it is another device's; a file that
is not the manifest's, or is in it and not there. In a folder all files are looked at but the manifest, block maps and
hidden ones.
"""
_FEW, _NAMED = 10, 3
_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


@click.command("audit", epilog=EPILOG)
@click.argument("images", nargs=-1, required=True, metavar="DIR|IMAGE...", type=click.Path(path_type=Path))
@click.option("--golden", type=click.Path(path_type=Path), help="For patches: the image they belong to.")
@click.option("--ca-file", type=click.Path(path_type=Path), help="Our CAs.  [default: trust.pem of the CAs]")
@click.option("--server-url", help="The gateway's address, which every image must have.")
@click.option("--expiring", default="90d", show_default=True, metavar="SPAN", help="Tell certificates that end within.")
@json_option
@pki_option
def command(images: tuple[Path, ...], **options: Any) -> int:  # noqa: ANN401 - what click read
    """Look into images, and patches, for what would keep their devices out; exit 1 when one fails."""
    from mtls_ambassador.cli.image_progress import Bars  # noqa: PLC0415 - slow to load
    from mtls_ambassador.decide.audit_image import Policy, level_of  # noqa: PLC0415 - see above
    from mtls_ambassador.flows.audit_images import Request, audit_images  # noqa: PLC0415 - see above

    policy = Policy(now(), parse_span(options["expiring"]), options["server_url"] or "")
    authorities = _authorities(options)
    with Bars() as bars:
        request = Request(images, options["golden"], authorities, policy, bars.show)
        audited = audit_images(request)
    counts = {level: sum(level_of(item.findings) is level for item in audited) for level in Level}
    if options["as_json"]:
        click.echo(json.dumps({"ok": not counts[Level.FAIL], "images": [_facts(item) for item in audited]}, indent=2))
    else:
        _tell(audited, counts)
    return 1 if counts[Level.FAIL] else 0


def _authorities(options: dict[str, Any]) -> "tuple[x509.Certificate, ...]":
    from cryptography import x509  # noqa: PLC0415 - slow to load

    from mtls_ambassador.pki.files import read_file  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.folder import TRUST  # noqa: PLC0415 - see above

    path = options["ca_file"] or pki_folder(options["pki_dir"]) / TRUST
    if options["ca_file"] is None and not path.exists():
        raise UsageError(f"say --ca-file FILE, the certificates of the CAs that sign devices: {path} is not there")
    try:
        return tuple(x509.load_pem_x509_certificates(read_file(path, "the CAs' certificates")))
    except ValueError as error:
        raise AmbassadorError(f"{path}: no readable certificate") from error


def _tell(audited: "list[Audited]", counts: dict[Level, int]) -> None:
    """Few images one after the other; of many, each thing once, with the images it is said of."""
    if len(audited) <= _FEW:
        for item in audited:
            for finding in item.findings:
                click.echo(f"{printable(str(item.path))}: {_coloured(finding)}")
    else:
        said: dict[Finding, list[str]] = {}
        for item in audited:
            for finding in item.findings:
                if finding.level is not Level.OK:
                    said.setdefault(finding, []).append(printable(str(item.path)))
        for finding, names in said.items():
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            click.echo(f"{_coloured(finding)}\n      in {', '.join(names[:_NAMED])}{more}")
    click.echo(
        f"{len(audited)} images: {counts[Level.OK]} ok, {counts[Level.WARN]} warned, {counts[Level.FAIL]} failed"
    )


def _coloured(finding: Finding) -> str:
    level, rest = str(finding)[:4], str(finding)[4:]
    return click.style(level, fg=_COLOURS[finding.level]) + rest


def _facts(item: "Audited") -> dict[str, object]:
    from mtls_ambassador.decide.audit_image import level_of  # noqa: PLC0415 - slow to load

    certificate = item.image.certificate
    return {
        "image": str(item.path),
        "verdict": level_of(item.findings).lower(),
        "subject": certificate.subject if certificate else None,
        "certificate_sha256": certificate.fingerprint if certificate else None,
        "findings": [
            {"level": finding.level.lower(), "name": finding.name, "seen": finding.seen, "right": finding.right}
            for finding in item.findings
        ],
    }
