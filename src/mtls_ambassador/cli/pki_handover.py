"""What goes to the device beside key and certificate: its mender.conf, from the options `device` and `batch` share."""

from pathlib import Path
from typing import Any

import click

from mtls_ambassador.model.errors import AmbassadorError, UsageError


def configuration(options: dict[str, Any]) -> bytes | None:
    """The mender.conf that --mender-conf, --server-url and --device-dir ask for; None when none is wanted."""
    from mtls_ambassador.flows.batch_files import CERTIFICATE, KEY  # noqa: PLC0415 - slow to load
    from mtls_ambassador.pki.mender_conf import merge  # noqa: PLC0415 - see above

    path, url = options["mender_conf"], options["server_url"]
    if path is None and url is None:
        return None
    if path is None or url is None:
        raise UsageError("--mender-conf and --server-url belong together")
    folder = options["device_dir"].rstrip("/")
    paths = {"certificate_path": f"{folder}/{CERTIFICATE}", "key_path": f"{folder}/{KEY}"}
    return merge(_existing(path), server_url=url, source=str(path), **paths).encode()


def _existing(path: Path) -> str | None:
    from mtls_ambassador.pki.files import read_file  # noqa: PLC0415 - slow to load

    if not path.exists():
        click.echo(f"{path} does not exist: the mender.conf is made from nothing, without TenantToken or CA", err=True)
        return None
    try:
        return read_file(path, "the configuration").decode()
    except UnicodeDecodeError as error:
        raise AmbassadorError(f"{path}: is not UTF-8 text") from error
