"""`mtls-ambassador sandbox`: a small Mender server for demos and tests."""

import asyncio
import os
import secrets
import signal
import sys
from pathlib import Path

import click
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.pki.issue import Pair
from mtls_ambassador.sandbox.server import SandboxConfig, SandboxServer
from mtls_ambassador.settings.parse import parse_listen

PASSWORD_VARIABLE = "MTLS_SANDBOX_PASSWORD"  # noqa: S105 - the name of a variable
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("sandbox")
@click.option("--listen", default="127.0.0.1:8090", show_default=True, help="HOST:PORT; port 0 lets the system choose.")
@click.option("--tls-cert", type=FILE, help="Serve TLS: certificate, PEM, intermediates after it.")
@click.option("--tls-key", type=FILE, help="Serve TLS: its private key, PEM, not encrypted.")
@click.option("--user", default="mtls@example.com", show_default=True, help="The one user that may log in.")
@click.option(
    "--password-file",
    type=FILE,
    help=f"First line is the password; or set {PASSWORD_VARIABLE}.  [default: one is made up and printed]",
)
@click.option("--device-limit", type=click.IntRange(min=-1), default=-1, show_default=True, help="-1: no limit.")
@click.option(
    "--download-base", help="Scheme, host and port of artifact links.  [default: the address the device used]"
)
@click.option("--log-requests", is_flag=True, help="One line on standard error for every request.")
def command(**options: object) -> None:
    """Run a small Mender server for demos and tests. Never for production.

    It speaks the calls of the open-source Mender server that devices and a gateway use, keeps everything in memory,
    and shows the devices on a page at /. Faults to order and a journal of all requests are under /sandbox/,
    for whoever can reach it.

    \b
    Examples:
      mtls-ambassador sandbox
      mtls-ambassador sandbox --listen 127.0.0.1:8443 --tls-cert server.crt --tls-key server.key
      curl -X POST -H 'Content-Type: application/json' http://127.0.0.1:8090/sandbox/faults \\
           -d '{"path":"/api/devices/","status":503,"retry_after":"5","count":10}'
    """  # noqa: D301 - click wants the character \b itself
    config, made_up = _config(options)
    try:
        uvloop.run(_serve(config, made_up))
    except OSError as error:
        listen = options["listen"]
        raise AmbassadorError(f"--listen {listen}: {error.strerror or error}; give another --listen") from error


async def _serve(config: SandboxConfig, made_up: bool) -> None:  # noqa: FBT001 - private, one caller
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with SandboxServer.running(config) as sandbox:
        password = config.password if made_up else "(as given)"
        click.echo(f"Mender sandbox, for demos and tests only: {sandbox.url}")
        click.echo(f"user {config.user}  password {password}")
        sys.stdout.flush()
        await ended.wait()


def _config(options: dict[str, object]) -> tuple[SandboxConfig, bool]:
    """The configuration, and whether the password was made up here."""
    host, port = _listen(str(options["listen"]))
    pair, chain = _tls(options["tls_cert"], options["tls_key"])
    password = _password(options["password_file"])
    base, limit = options["download_base"], options["device_limit"]
    if base is not None and not str(base).startswith(("http://", "https://")):
        raise UsageError(f"--download-base {base}: must begin with http:// or https://")
    config = SandboxConfig(
        host=host,
        port=port,
        tls=pair,
        chain_pem=chain,
        user=str(options["user"]),
        password=password or secrets.token_urlsafe(12),
        device_limit=limit if isinstance(limit, int) else -1,
        download_base=None if base is None else str(base),
        log_requests=bool(options["log_requests"]),
    )
    return config, not password


def _listen(text: str) -> tuple[str, int]:
    chosen_by_system = text.endswith(":0")
    try:
        listen = parse_listen(text[:-1] + "1" if chosen_by_system else text)
    except ValueError as error:
        raise UsageError(f"--listen {text}: {error}") from error
    return listen.host, 0 if chosen_by_system else listen.port


def _password(path: object) -> str:
    if not isinstance(path, Path):
        return os.environ.get(PASSWORD_VARIABLE, "")
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--password-file {path}: {error}") from error
    if not lines or not lines[0]:
        raise UsageError(f"--password-file {path}: the first line must be the password")
    return lines[0]


def _tls(certificate: object, key: object) -> tuple[Pair | None, bytes]:
    if certificate is None and key is None:
        return None, b""
    if not isinstance(certificate, Path) or not isinstance(key, Path):
        raise UsageError("--tls-cert and --tls-key belong together: give both or neither")
    chain = _certificates(certificate)
    pair = Pair(chain[0], _key(key))
    if chain[0].public_key() != pair.key.public_key():
        raise UsageError(f"--tls-key {key}: is not the key of the certificate in {certificate}")
    return pair, b"".join(item.public_bytes(serialization.Encoding.PEM) for item in chain[1:])


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"--tls-cert {path}: no PEM certificate can be read") from error


def _key(path: Path) -> ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(f"--tls-key {path}: no unencrypted PEM private key can be read") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey):
        raise UsageError(f"--tls-key {path}: must be an RSA, EC or Ed25519 key")
    return key
