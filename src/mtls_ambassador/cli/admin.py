"""`mtls-ambassador admin`: who may use the operator page and the management API."""

import click

from mtls_ambassador.cli.lazy import LazyGroup

COMMANDS = {
    "password": "Print a line for the file of MTLS_ADMIN_USERS.",
    "token": "Make, list and revoke tokens of the management API.",
}


@click.group("admin", cls=LazyGroup)
def command() -> None:
    """Who may use the operator page and the management API."""


command.load_from("mtls_ambassador.cli.admin_", COMMANDS)
