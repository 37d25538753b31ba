"""`mtls-ambassador run`: serve until told to end."""

import os
from pathlib import Path

import click

from mtls_ambassador.flows.light import without_rich

with without_rich():
    import structlog

    from mtls_ambassador.flows import log, run_gateway
    from mtls_ambassador.settings.load import load


@click.command("run")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="Settings file; the environment wins over it.  [default: /etc/mender/mender-gateway.conf when it exists]",
)
def command(config_file: Path | None) -> None:
    """Serve devices in front, the Mender server behind, until SIGTERM.

    The first SIGTERM or SIGINT drains, a second one ends everything at once; both exit 0.
    """
    loaded = load(os.environ, config_file=config_file)
    log.configure(debug=loaded.settings.debug_log, form=loaded.settings.log_format)
    for warning in loaded.warnings:
        structlog.get_logger().warning("setting", text=warning)
    run_gateway.run(loaded.settings, run_gateway.service_command(config_file))
