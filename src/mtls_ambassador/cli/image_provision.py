"""`mtls-ambassador image provision`: every device's image, with its own key and certificate in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mtls_ambassador.cli.image_path import now
from mtls_ambassador.cli.pki_order import find_order, make_batch, order_options
from mtls_ambassador.cli.pki_store import pki_folder
from mtls_ambassador.model.errors import AmbassadorError, UsageError

if TYPE_CHECKING:
    from mtls_ambassador.flows.batch_output import Output
    from mtls_ambassador.flows.provision_images import Plan
    from mtls_ambassador.image.template import Template
    from mtls_ambassador.pki.order import Order

EPILOG = """\b
Examples:
  mtls-ambassador image provision golden.sdimg --order order-1.csv --server-url https://my-server.com --out order-1
  mtls-ambassador image provision golden.img.xz --count 500 --name 'dev-{n:06}' --server-url https://my-server.com \\
    --out lot-1 --format full
  mtls-ambassador image provision golden.sdimg --devices order-1 --server-url https://my-server.com \\
    --server-ca trust.pem --out images-1
\b
Each device gets, at the paths of Mender's page: /data/mender/mender-cert-private.pem (mode 600) and mender-cert.pem;
/etc/mender/trust.pem, the CA it checks the gateway by; /etc/mender/mender.conf with all it said before; and where the
order has the columns `device_type` and `identity.…`, /data/mender/device_type and /data/mender/identity. --template
says it otherwise: see docs/factory/images.md.
"""
FORMS = ("patch", "full")


@click.command("provision", epilog=EPILOG)
@click.argument("golden", type=click.Path(path_type=Path))
@click.option("--order", type=click.Path(path_type=Path), metavar="ORDER.csv", help="As for `pki batch`.")
@click.option("--devices", type=click.Path(path_type=Path), metavar="DIR", help="Keys and certificates made before.")
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Folder for the devices' files.")
@click.option("--format", "form", type=click.Choice(FORMS), default="patch", show_default=True)
@click.option("--server-url", help="The gateway's address, such as https://my-server.com.")
@click.option(
    "--server-ca",
    type=click.Path(path_type=Path),
    help="Certificates the device checks the gateway by.  [default: trust.pem of the CAs]",
)
@click.option("--no-server-ca", is_flag=True, help="The gateway's certificate is one of a public CA.")
@click.option("--template", "image_template", type=click.Path(path_type=Path), help="What goes where (TOML).")
@click.option("--shred", is_flag=True, help="With --devices: remove each private key from DIR once it is in its image.")
@order_options
def command(**options: Any) -> int:  # noqa: ANN401 - what click read
    """Put every device's key, certificate and mender.conf into its own image of GOLDEN, which is only read.

    A patch (the default) holds the blocks that differ, a few kB: `image apply` puts it on a device with GOLDEN. With
    an order the certificates are made in the same run, as by `pki batch`: resumable, nothing twice, and private keys
    are in the images alone.
    """
    if options["out"] is None:
        raise UsageError("say --out DIR, the folder for the devices' files")
    if options["devices"] is not None:
        return _provision_devices(options)
    if options["shred"]:
        raise UsageError("--shred goes with --devices; with an order no private key is anywhere but in the images")
    if options["order"] is None and options["count"] is None:
        raise UsageError("say what to make: --order ORDER.csv, --count N --name 'dev-{n:06}', or --devices DIR")
    order = find_order(options)
    return make_batch(options, order, lambda pki_dir: _opened(options, order, pki_dir))


def _provision_devices(options: dict[str, Any]) -> int:
    from mtls_ambassador.cli.pki_batch_view import Progress, tell  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.batch_run import Work  # noqa: PLC0415 - see above
    from mtls_ambassador.flows.device_folders import ReadDevices, folder_order  # noqa: PLC0415 - see above
    from mtls_ambassador.flows.provision_devices import provision_devices  # noqa: PLC0415 - see above

    if options["order"] is not None or options["count"] is not None:
        raise UsageError("--devices and an order exclude each other: the devices of DIR are taken")
    folder, out = options["devices"], options["out"]
    order = folder_order(folder)
    with _opened(options, order, pki_folder(options["pki_dir"])) as output, Progress(order.quantity) as bar:
        work = Work(
            order,
            output.outlet,
            ReadDevices(folder.resolve(), output.outlet.new_deliverer),
            options["jobs"] or os.cpu_count() or 1,
            manifest=output.manifest,
            on_progress=bar.show,
            is_stopped=bar.is_stopped,
        )
        outcome = provision_devices(work, folder, out, shred=options["shred"])
    tell(outcome, str(out), bar.seconds, as_json=options["as_json"])
    return 0 if outcome.is_finished else 130


@contextmanager
def _opened(options: dict[str, Any], order: "Order", pki_dir: Path) -> Iterator["Output"]:
    from mtls_ambassador.cli.image_progress import Bars  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.batch_output import Output  # noqa: PLC0415 - see above
    from mtls_ambassador.flows.provision_images import image_outlet  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.files import make_folder  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.manifest import FILE_NAME  # noqa: PLC0415 - see above

    plan, out = _plan(options, pki_dir), options["out"]
    make_folder(out, 0o700)
    bars = Bars()
    golden = options["golden"]
    with image_outlet(golden, plan, order, out.resolve(), bars.show) as outlet:
        bars.pause()
        yield Output(outlet, out / FILE_NAME)


def _plan(options: dict[str, Any], pki_dir: Path) -> "Plan":
    from mtls_ambassador.flows.batch_images import Form  # noqa: PLC0415 - slow to load
    from mtls_ambassador.flows.provision_images import Plan  # noqa: PLC0415 - see above

    server_ca = _server_ca(options, pki_dir)
    return Plan(_template(options["image_template"]), options["server_url"], server_ca, Form(options["form"]), now())


def _server_ca(options: dict[str, Any], pki_dir: Path) -> bytes | None:
    from mtls_ambassador.pki.files import read_file  # noqa: PLC0415 - slow to load
    from mtls_ambassador.pki.folder import TRUST  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.pem import trust_fault  # noqa: PLC0415 - see above

    if options["no_server_ca"]:
        if options["server_ca"] is not None:
            raise UsageError("--server-ca and --no-server-ca exclude each other")
        return None
    path, what = options["server_ca"] or pki_dir / TRUST, "the CA of the gateway (--server-ca, --no-server-ca)"
    content = read_file(path, what)
    if fault := trust_fault(content):
        raise AmbassadorError(f"{path}: {what} {fault}")
    return content


def _template(path: Path | None) -> "Template":
    from mtls_ambassador.image.template import DEFAULT  # noqa: PLC0415 - slow to load
    from mtls_ambassador.image.template_file import parse_template  # noqa: PLC0415 - see above
    from mtls_ambassador.pki.files import read_file  # noqa: PLC0415 - see above

    if path is None:
        return DEFAULT
    try:
        content = read_file(path, "the template").decode()
    except UnicodeDecodeError as error:
        raise AmbassadorError(f"{path}: is not UTF-8 text") from error
    return parse_template(content, str(path), lambda name: read_file(path.parent / name, "a file of the template"))
