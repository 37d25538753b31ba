"""TLS of the admin listener: from its two files, and anew when they change."""

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import structlog

from mtls_ambassador.flows.input_files import Stamp, stamp_of
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.input_state import InputState
from mtls_ambassador.settings import Settings

log = structlog.get_logger("access")
POLL = 5.0
"""Seconds between two looks; files that have not changed for that long are at rest."""


class AdminTls:
    """The context in force."""

    def __init__(self, certificate: Path, key: Path) -> None:
        """Raise AmbassadorError when the two are no pair that can be used."""
        self._files = certificate, key
        self._current = self.context = self._load()
        # A context keeps one pair for each kind of key, so that a new pair needs a new context; OpenSSL calls this for
        # each handshake, with a name or without.
        self.context.sni_callback = self._choose
        self.state = InputState("admin certificate", ", ".join(map(str, self._files)), dt.datetime.now(dt.UTC))
        self._tried = self._seen = self._stamp()

    async def keep(self) -> None:
        """Look for ever; a pair that is not good leaves the old one in force."""
        while True:
            await asyncio.sleep(POLL)
            stamp = self._stamp()
            if stamp == self._seen != self._tried:
                self._tried = stamp
                self._take()
            self._seen = stamp

    def _take(self) -> None:
        try:
            self._current = self._load()
        except AmbassadorError as error:
            self.state = self.state.refused(str(error), dt.datetime.now(dt.UTC))
            log.error("not taken, the old one stays in force", what="admin certificate", reason=str(error))  # noqa: TRY400 - no traceback
        else:
            self.state = self.state.taken(dt.datetime.now(dt.UTC))
            log.info("taken", what="admin certificate")

    def _choose(self, handshake: ssl.SSLSocket | ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        del name, context
        handshake.context = self._current

    def _load(self) -> ssl.SSLContext:
        certificate, key = self._files
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION
        names = f"MTLS_ADMIN_TLS_CERT {certificate} and MTLS_ADMIN_TLS_KEY {key}"
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except ssl.SSLError as error:
            right = "a PEM certificate and the key that belongs to it, without a password"
            raise AmbassadorError(f"{names}: must be {right} ({error.reason or 'not PEM'})") from error
        except OSError as error:
            raise AmbassadorError(f"{names}: cannot be read: {error.strerror}") from error
        return context

    def _stamp(self) -> Stamp:
        return tuple(map(stamp_of, self._files))


def admin_tls(settings: Settings) -> AdminTls | None:
    """As the settings say; None for plain HTTP. Raises AmbassadorError."""
    if settings.admin_certificate is None or settings.admin_key is None:
        return None
    return AdminTls(settings.admin_certificate, settings.admin_key)


def _no_password() -> str:
    """Nobody is there to type one: OpenSSL would ask the terminal, and wait."""
    return ""
