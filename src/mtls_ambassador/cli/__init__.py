"""The command line: one module per noun; each parses, calls one flow, prints."""

import os
import sys
from collections.abc import Sequence

import click

from mtls_ambassador import __version__
from mtls_ambassador.cli.lazy import LazyGroup
from mtls_ambassador.model.errors import AmbassadorError, UsageError

COMMANDS = {
    "run": "Serve: devices in front, the Mender server behind.",
    "check": "Check every setting, file and the upstream server, one line each.",
    "status": "Ask a running gateway how it is.",
    "device": "What an operator does about one device.",
    "admin": "Who may use the operator page and the management API.",
    "pki": "CAs, certificates for the gateway and the devices, revocation, records.",
    "image": "Keys, certificates and mender.conf in disk images.",
    "demo": "Show the whole story on this machine: certificates, gateway, devices accepted.",
    "sandbox": "Run a small Mender server for demos and tests.",
    "simulate": "Drive many simulated devices through a gateway.",
}
HIDDEN = ("service",)
_STANDARD_ERROR = 2


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="mtls-ambassador")
def group() -> None:
    """Devices onto their Mender server by certificate: an mTLS gateway, from the factory to the accepted device."""


group.load_from("mtls_ambassador.cli.", COMMANDS, HIDDEN)


def _hold_standard_streams() -> None:
    """Have those that are closed lead nowhere: else a file opened later gets their number, and programs write to it."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STANDARD_ERROR:
        pass
    os.close(descriptor)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code: 0 done, 1 failed with a reason, 2 wrong usage."""
    _hold_standard_streams()
    try:
        result = group.main(args=argv, prog_name="mtls-ambassador", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return 2
    except click.exceptions.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return 1
    except AmbassadorError as error:
        for line in str(error).splitlines():
            shown = "".join(char if char.isprintable() else "?" for char in line)
            sys.stderr.write(f"mtls-ambassador: {shown}\n")
        return 2 if isinstance(error, UsageError) else 1
    except MemoryError:
        sys.stderr.write("mtls-ambassador: not enough memory\n")
        return 1
    return result if isinstance(result, int) else 0
