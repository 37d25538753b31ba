"""`mtls-ambassador service`: the decision service, started by `run` and by nobody else."""

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mtls_ambassador.flows.light import without_rich

if TYPE_CHECKING:
    from mtls_ambassador.settings import Settings


@click.command()
@click.option("--config", "config_file", type=click.Path(path_type=Path), default=None)
@click.option("--runtime", type=click.Path(path_type=Path), required=True, help="The folder `run` made.")
def command(config_file: Path | None, runtime: Path) -> None:
    """Serve Envoy's decision calls (internal: `run` starts it)."""
    # Loading makes no garbage, and what is loaded stays: to look through it costs a tenth of the start, and later on
    # pauses. https://docs.python.org/3/library/gc.html#gc.freeze
    gc.disable()
    with without_rich():
        import uvloop  # noqa: PLC0415 - the command's own weight, not the command line's

        from mtls_ambassador.envoy.place import RuntimePaths  # noqa: PLC0415 - see above
        from mtls_ambassador.flows import log  # noqa: PLC0415 - see above
        from mtls_ambassador.flows.credentials_watch import credential_files  # noqa: PLC0415 - see above
        from mtls_ambassador.settings.config_file import DEFAULT_FILE  # noqa: PLC0415 - see above
        from mtls_ambassador.settings.load import load  # noqa: PLC0415 - see above
        from mtls_ambassador.web.service import serve  # noqa: PLC0415 - see above
    gc.freeze()
    gc.enable()

    def reload() -> "Settings":
        return load(os.environ, config_file=config_file).settings

    loaded = load(os.environ, config_file=config_file)
    settings = loaded.settings
    log.configure(debug=settings.debug_log, form=settings.log_format)
    file = config_file or (DEFAULT_FILE if DEFAULT_FILE.exists() else None)
    uvloop.run(serve(loaded, RuntimePaths(runtime), credential_files(os.environ, file, settings), reload))
