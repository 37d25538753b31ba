"""`mtls-ambassador admin password`: a user of the page, as a line of the users file."""

import sys

import click

from mtls_ambassador.model.errors import UsageError

LEAST = 8
EPILOG = """\b
Examples:
  mtls-ambassador admin password marta --scope write >> /etc/mtls/admin-users
  mtls-ambassador admin password olaf < password.txt
  mtls-ambassador admin password marta@example.com --proxy     (logged in by a proxy, no password here)
"""


@click.command("password", epilog=EPILOG)
@click.argument("name")
@click.option("--scope", type=click.Choice(["read", "write"]), default="read", show_default=True, help="May do what.")
@click.option("--proxy", "by_proxy", is_flag=True, help="No password: a proxy of MTLS_ADMIN_PROXIES logs the user in.")
def command(name: str, scope: str, *, by_proxy: bool) -> None:
    """Print the line of NAME; the password is asked for without showing it, or read from standard input."""
    from mtls_ambassador.web.access.users import LONGEST, NAME, hash_password  # noqa: PLC0415 - slow to load

    if not NAME.fullmatch(name):
        raise UsageError("NAME: must be of letters, digits and . _ @ + -, at most 64")
    hashed = ""
    if not by_proxy:
        password = _ask() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\r\n")
        if not LEAST <= len(password) <= LONGEST:
            raise UsageError(f"the password must have {LEAST} to {LONGEST} characters")
        hashed = hash_password(password)
    click.echo(f"{name}:{scope}:{hashed}")


def _ask() -> str:
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
