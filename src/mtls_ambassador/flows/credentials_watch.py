"""The gateway's own login and the Mender server's CA, read anew when their files change."""

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from mtls_ambassador.flows.input_files import Stamp, stamp_of
from mtls_ambassador.mender.client import MenderClient
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.settings import Settings
from mtls_ambassador.settings.table import SETTINGS

POLL = 0.5
"""Seconds between two looks; files that have not changed for that long are at rest."""


def credential_files(environ: Mapping[str, str], config_file: Path | None, settings: Settings) -> tuple[Path, ...]:
    """The files that hold the login or the CA: those the settings name, and the settings file itself."""
    secrets = [item for item in SETTINGS if item.field.startswith("mender_")]
    named = [Path(environ[name]) for item in secrets for name in item.file_names if environ.get(name, "").strip()]
    others = [path for path in (config_file, settings.upstream_ca) if path is not None]
    return tuple(dict.fromkeys((*named, *others)))


class CredentialsWatch:
    """Keeps the client's credentials those of the files. Bad files leave the old ones in force."""

    def __init__(
        self,
        mender: MenderClient,
        files: tuple[Path, ...],
        reload: Callable[[], Settings],
        now: Callable[[], dt.datetime],
    ) -> None:
        """Take `reload`, which reads the settings anew and raises AmbassadorError when they are not good."""
        self._mender, self._files, self._reload, self._now = mender, files, reload, now
        self._tried = self._seen = self._stamp()
        self.state = InputState("login at the Mender server", ", ".join(map(str, files)) or "environment", now())

    async def keep(self) -> None:
        """For ever."""
        while self._files:
            await asyncio.sleep(POLL)
            stamp = self._stamp()
            if stamp == self._tried:
                continue
            if stamp == self._seen:
                self._tried = stamp
                await self._take()
            self._seen = stamp
        await asyncio.Event().wait()

    async def _take(self) -> None:
        log = structlog.get_logger()
        try:
            self._mender.renew(await asyncio.to_thread(self._reload))
        except AmbassadorError as error:
            self.state = self.state.refused(str(error), self._now())
            log.error("not taken, the old one stays in force", what=self.state.name, reason=str(error))  # noqa: TRY400 - no traceback
        else:
            self.state = self.state.taken(self._now())
            log.info("taken", what=self.state.name)

    def _stamp(self) -> Stamp:
        return tuple(map(stamp_of, self._files))
