"""`mtls-ambassador device`: what an operator does about devices."""

import click

from mtls_ambassador.cli.lazy import LazyGroup

COMMANDS = {
    "why": "Say why a device is not in: one verdict, every step, the next command.",
    "list": "List devices, or find some by any part of their texts.",
    "show": "All that is known of one device.",
    "revoke": "Keep devices out: by identity, certificate, key, batch, dates or CA.",
    "restore": "Let devices in again.",
    "denials": "List what is denied.",
    "approve": "Let a certificate speak for an identity in place of the one that enrolled it.",
}


@click.group("device", cls=LazyGroup)
def command() -> None:
    """What an operator does about devices; gateways take it within a second, and are not restarted."""


command.load_from("mtls_ambassador.cli.device_", COMMANDS)
