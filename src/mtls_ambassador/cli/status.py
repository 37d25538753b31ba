"""`mtls-ambassador status`: ask a running gateway how it is."""

import http.client
import json
import os
import ssl
from typing import Any

import click

from mtls_ambassador.cli.terminal import printable
from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.settings import Listen
from mtls_ambassador.settings.parse import parse_listen
from mtls_ambassador.settings.table import SETTINGS

TIMEOUT = 5


@click.command()
@click.option("--admin", "address", help="The gateway's admin address.  [default: MTLS_ADMIN_LISTEN or 127.0.0.1:9102]")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def command(address: str | None, *, as_json: bool) -> int:
    """Ask a running gateway whether it takes devices, and what is in force; exit 0 when it takes them, 1 when not.

    A file that is not good leaves what was in force before, which is told here; it does not keep devices out.
    """
    listen = _listen(address)
    status, answer = _ask(listen)
    if as_json:
        click.echo(json.dumps(answer))
    else:
        click.echo(f"{'ready' if answer['ready'] else 'NOT READY'} (admin {listen})")
        for part, state in answer["parts"].items():
            click.echo(f"  {part:<10} {state}")
        for item in answer["inputs"]:
            click.echo(input_line(item))
    return 0 if status == http.client.OK else 1


def input_line(item: dict[str, Any]) -> str:
    """What `/health` says of an input, for people; a second line when there is a fault."""
    entries = "" if item["entries"] is None else f", {item['entries']} entries"
    text = f"  {item['name']}: in force since {item['loaded_at'][:19]}{entries}"
    since = f" since {item['fault_since'][:19]}" if item["fault_since"] else ""
    return printable(text) + (f"\n    FAULT{since}: {printable(item['fault'])}" if item["fault"] else "")


def _listen(address: str | None) -> Listen:
    setting = next(item for item in SETTINGS if item.field == "admin_listen")
    given = next((os.environ[name] for name in setting.names if os.environ.get(name)), setting.default)
    try:
        listen = parse_listen(address or str(given))
    except ValueError as error:
        raise UsageError(f"{'--admin' if address else setting.names[0]}: {error}") from error
    return listen if listen.host else Listen("127.0.0.1", listen.port)


def _ask(listen: Listen) -> tuple[int, dict[str, Any]]:
    connection = _connection(listen)
    try:
        connection.request("GET", "/health")
        response = connection.getresponse()
        return response.status, _readiness(response.read())
    except ssl.SSLError as error:
        raise AmbassadorError(
            f"{listen}: its certificate is not MTLS_ADMIN_TLS_CERT, or it speaks no TLS ({error.reason or error})"
        ) from error
    except (ConnectionResetError, http.client.BadStatusLine) as error:
        # What a TLS listener answers to plain HTTP: an alert, or nothing.
        raise AmbassadorError(
            f"{listen} does not speak plain HTTP; if this is the port devices connect to (MTLS_LISTEN),"
            " give the admin one (MTLS_ADMIN_LISTEN, 127.0.0.1:9102 by default)"
        ) from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AmbassadorError(
            f"no gateway answers at {listen} ({error}); is it running, and is this its MTLS_ADMIN_LISTEN?"
        ) from error
    finally:
        connection.close()


def _connection(listen: Listen) -> http.client.HTTPConnection:
    """By TLS when the settings say that the listener speaks it; then with that one certificate, whatever its names."""
    certificate = os.environ.get("MTLS_ADMIN_TLS_CERT", "").strip()
    if not certificate:
        return http.client.HTTPConnection(listen.host, listen.port, timeout=TIMEOUT)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the address is the user's own word, and the certificate is known itself
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cafile=certificate)
    except OSError as error:
        raise AmbassadorError(f"MTLS_ADMIN_TLS_CERT: {certificate}: no PEM certificate can be read") from error
    return http.client.HTTPSConnection(listen.host, listen.port, timeout=TIMEOUT, context=context)


def _readiness(body: bytes) -> dict[str, Any]:
    answer = json.loads(body)
    if isinstance(answer, dict) and isinstance(answer.get("parts"), dict) and isinstance(answer.get("inputs"), list):
        return answer
    raise ValueError("another program's answer")
