"""`mtls-ambassador pki batch`: keys and certificates of a whole order."""

import sys
from pathlib import Path
from typing import Any

import click

from mtls_ambassador.cli.pki_handover import configuration
from mtls_ambassador.cli.pki_order import find_order, make_batch, order_options
from mtls_ambassador.cli.pki_store import Place, opened
from mtls_ambassador.model.errors import AmbassadorError, UsageError

EPILOG = """\b
Examples:
  mtls-ambassador pki batch order-1.csv --out order-1
  mtls-ambassador pki batch --count 500 --name 'dev-{n:06}' --out lot-1
  mtls-ambassador pki batch order-1.csv --format tar --out - | ssh line-2 'tar -xf -'
  mtls-ambassador pki batch --verify order-1
  mtls-ambassador pki batch --shred order-1
\b
The order file's first row names its columns: `name`; fields of the subject such as O, OU, C, L, ST, serialNumber,
emailAddress; `device_type` and `identity.…`, kept in the manifest only. Run it again after a crash, a full disk or
Ctrl-C: it goes on, and makes nothing twice. Without --out of folders, what a killed run had put out is revoked and
made anew.
\b
openssl verifies the manifest as well:
  openssl x509 -in PKI/issuing/ca-cert.pem -noout -pubkey > ca.pub
  openssl dgst -sha256 -verify ca.pub -signature order-1/manifest.jsonl.sig order-1/manifest.jsonl
(with an Ed25519 CA: openssl pkeyutl -verify -pubin -inkey ca.pub -rawin -in … -sigfile …)
\b
--shred overwrites each private key and removes it. That reaches the old bytes only where a disk writes in place. On
flash (SSD, SD card, USB stick), journaling data, copy-on-write or network file systems, in snapshots and backups,
copies remain that no program can reach: make batches on an encrypted disk or on tmpfs, and throw that key away.
"""
FORMATS = ("folders", "tar", "pem")


@click.command("batch", epilog=EPILOG)
@click.argument("order", required=False, metavar="[ORDER.csv]", type=click.Path(path_type=Path))
@click.option("--out", help="Folder for the devices' folders; with tar and pem a new file, or - for standard output.")
@click.option("--format", "form", type=click.Choice(FORMATS), default="folders", show_default=True)
@click.option("--manifest", type=click.Path(path_type=Path), help="Where it goes.  [default: in --out, or beside it]")
@click.option("--mender-conf", type=click.Path(path_type=Path), help="mender.conf for each, from this file if there.")
@click.option("--server-url", help="For --mender-conf: the gateway's address, such as https://my-server.com.")
@click.option("--device-dir", default="/data/mender", show_default=True, help="For --mender-conf: the files' folder.")
@click.option("--verify", type=click.Path(path_type=Path), metavar="DIR", help="Compare a batch with its manifest.")
@click.option("--shred", type=click.Path(path_type=Path), metavar="DIR", help="Remove a batch's private keys.")
@click.option("--yes", is_flag=True, help="With --shred: do not ask.")
@order_options
def command(**options: Any) -> int:  # noqa: ANN401 - what click read
    """Make the keys and certificates of all devices of an order, each once.

    Serials are recorded first, all of them in one transaction; each certificate is recorded before it leaves the
    program; files are on the disk before they count as done. The manifest, signed by the CA, is written last.
    """
    orders = options["order"] or options["count"]
    if sum(item is not None for item in (orders, options["verify"], options["shred"])) > 1:
        raise UsageError("an order, --verify and --shred exclude each other")
    if options["verify"] is not None:
        return _verify(options)
    if options["shred"] is not None:
        return _shred(options)
    return _make(options)


def _make(options: dict[str, Any]) -> int:
    from mtls_ambassador.flows.batch_files import Format  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.batch_output import opened_output  # noqa: PLC0415 - see above

    order = find_order(options)
    if not options["out"]:
        raise UsageError("say --out DIR, or with --format tar or pem --out FILE or -")
    form, conf = Format(options["form"]), configuration(options)
    return make_batch(options, order, lambda _: opened_output(options["out"], form, options["manifest"], conf))


def _verify(options: dict[str, Any]) -> int:
    from mtls_ambassador.cli.pki_batch_view import tell_verdict  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.batch_manifest import verify  # noqa: PLC0415 - see above

    with opened(options["pki_dir"]) as place:
        verdict = verify(_folder(options["verify"]), _certificate(place, options["ca"]))
    tell_verdict(verdict, as_json=options["as_json"])
    return 1 if verdict.fault_count else 0


def _shred(options: dict[str, Any]) -> int:
    from mtls_ambassador.cli.pki_batch_view import tell_shredded  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.batch_manifest import shred  # noqa: PLC0415 - see above

    out = _folder(options["shred"])
    if not options["yes"]:
        if not sys.stdin.isatty():
            raise UsageError("--shred removes every private key of the batch for good: say --yes as well")
        click.confirm(f"Remove every private key in {out} for good?", abort=True, err=True)
    with opened(options["pki_dir"]) as place:
        tell_shredded(shred(out, _certificate(place, options["ca"])), as_json=options["as_json"])
    return 0


def _certificate(place: Place, ca: str | None) -> Any:  # noqa: ANN401 - the library loads late
    from mtls_ambassador.pki import folder  # noqa: PLC0415 - slow to load

    return folder.read_public(folder.choose(place.settings.pki_dir, ca)).certificate


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise AmbassadorError(f"{path}: is no folder")
    return path
