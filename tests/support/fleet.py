"""A fleet as a company has it, put into the store row by row: what the page is looked at with."""

import datetime as dt
import hashlib
import json
import math
import random
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.store import denials
from mtls_ambassador.store.audit import AuditEntry, append_all
from mtls_ambassador.store.denial_tables import seen
from mtls_ambassador.store.ledger_tables import contact, refusal, tally
from mtls_ambassador.store.pki_tables import batch, certificate, revocation
from mtls_ambassador.store.tables import device, pin

ISSUER = "CN=Example Devices CA,O=Example GmbH"
HOSTILE = (
    '<script>alert("x")</script>',
    "\u202egnp.exe\u2066 evil",
    "nul\0 and\nnewline \x1b[31mred",
    "'\"><img src=x onerror=alert(1)>",
    "long " + "x" * 10_000,
)
"""Texts that a device may send."""


@dataclass(slots=True)
class Fleet:
    """Rows as they will be."""

    now: dt.datetime
    size: int = 60
    hostile: bool = False
    luck: random.Random = field(default_factory=lambda: random.Random(7))  # noqa: S311 - the same fleet each time

    def fill(self, connection: sa.Connection) -> None:
        """Put all of it into an empty store."""
        names = [f"cam-{number:04}" for number in range(1, self.size + 1)] + list(HOSTILE if self.hostile else ())
        connection.execute(
            sa.insert(batch).values(
                id=1,
                name="2026-11-lot-3",
                order_sha256=b"o" * 32,
                issuer_sha256=b"i" * 32,
                quantity=len(names),
                created_at=self.ago(days=16),
                finished_at=self.ago(days=16),
            )
        )
        for place, name in enumerate(names):
            self._device(connection, place, name)
        self._refusals(connection)
        self._tallies(connection)
        self._denials(connection)

    def ago(self, **span: float) -> dt.datetime:
        """A time before now."""
        return self.now - dt.timedelta(**span)

    def identity(self, place: int, name: str) -> str:
        """Canonical, as Mender has it."""
        mac = f"52:54:00:7a:{place >> 8:02x}:{place & 255:02x}"
        known = {"mac": mac} if name.startswith("cam-") else {"mac": mac, "name": name}
        return json.dumps(known, ensure_ascii=False, separators=(",", ":"))

    def _device(self, connection: sa.Connection, place: int, name: str) -> None:
        identity, serial = self.identity(place, name), int(_hash(f"serial {place}")[:32], 16)
        sha256, key, print_ = _hash(identity), _hash(f"key {place}"), _hash(f"certificate {place}")
        first = self.ago(days=14, minutes=-20 * place)
        last = self.ago(days=9) if place % 17 == 5 else self.ago(minutes=self.luck.uniform(1, 90))
        standing = "withdrawn" if place % 23 == 9 else "claimed" if place % 29 == 13 else "accepted"
        subject = f"CN={name}"[:200]
        self._insert(
            connection,
            device,
            identity_sha256=sha256,
            identity=_storable(identity),
            standing=standing,
            device_id=f"6f1c{_hash(name)[:4]}-{_hash(name)[4:8]}-4d1e-9c3a-{_hash(name)[:12]}",
            certificate_serial=f"{serial:x}",
            certificate_subject=_storable(subject),
            enrolled_at=None if standing == "claimed" else first,
            updated_at=last,
            claimed_by="",
            auth_key_sha256=key,
        )
        own = {"spki_sha256": key, "subject": _storable(subject), "issuer": ISSUER}
        self._insert(connection, pin, **own, identity_sha256=sha256, state="held", pinned_at=first)
        mine = {"serial": serial, "not_before": self.ago(days=16), "first_at": first, "fingerprint_sha256": print_}
        self._insert(connection, seen, **own, **mine, identity_sha256=sha256)
        self._insert(
            connection,
            contact,
            fingerprint_sha256=print_,
            serial=f"{serial:x}",
            subject=_storable(subject),
            issuer=ISSUER,
            first_at=first,
            at=last,
            address=f"198.51.100.{place % 250}",
            tls_version="TLSv1.3",
            connections=self.luck.randrange(20, 900),
        )
        self._insert(
            connection,
            certificate,
            issuer_sha256=b"i" * 32,
            serial=serial,
            name=_storable(name[:200]),
            profile="device",
            batch_id=1,
            status="done",
            reserved_at=self.ago(days=16),
            done_at=self.ago(days=16),
            not_before=self.ago(days=16),
            not_after=self.ago(days=-(12 if place % 13 == 4 else 3600)),
            subject=_storable(subject),
            spki_sha256=bytes.fromhex(key),
            fingerprint=bytes.fromhex(print_),
        )
        if place == 3:
            gone = {"reason": "cessationOfOperation", "at": self.ago(days=2), "by": "marta", "note": "scrapped"}
            self._insert(connection, revocation, issuer_sha256=b"i" * 32, serial=serial, **gone)
        append_all(
            connection,
            [
                AuditEntry(
                    first,
                    "enrol",
                    "enrolled",
                    "",
                    sha256,
                    _storable(identity),
                    key,
                    f"{serial:x}",
                    _storable(subject),
                    ISSUER,
                    key,
                    f"198.51.100.{place % 250}",
                    f"request-{place}",
                )
            ],
        )

    def _refusals(self, connection: sa.Connection) -> None:
        kinds = [
            ("handshake", "no-certificate", "PEER_DID_NOT_RETURN_A_CERTIFICATE", "", 34),
            ("handshake", "unknown-ca", "unable_to_get_local_issuer_certificate", "CN=bench-rig-2", 6),
            ("handshake", "expired", "certificate_has_expired", "CN=cam-0007", 3),
            ("handshake", "server-refused", "SSLV3_ALERT_BAD_CERTIFICATE", "", 11),
            ("handshake", "not-tls", "WRONG_VERSION_NUMBER", "", 210),
            ("auth-request", "identity-taken", "held by key 3c1f…", "CN=cam-0012 spare", 2),
            ("auth-request", "rejected-by-person", "auth set rejected in Mender", "CN=cam-0041", 1),
            ("call", "serial", "", "CN=cam-0021", 5),
        ]
        kinds += [("auth-request", "malformed", text, f"CN={text}", 1) for text in (HOSTILE if self.hostile else ())]
        for place in range(40):
            kind, cause, detail, subject, count = kinds[place % len(kinds)]
            at = self.ago(minutes=3 + place * 7)
            taken = cause == "identity-taken"
            identity = self.identity(11, "cam-0012") if taken else ""
            self._insert(
                connection,
                refusal,
                first_at=at,
                at=at,
                count=count,
                kind=kind,
                cause=cause,
                address=f"203.0.113.{place}",
                detail=_storable(detail),
                server_name="gateway.example.com",
                tls_version="TLSv1.3",
                serial=_hash(subject)[:32] if subject else "",
                subject=_storable(subject),
                issuer=ISSUER if subject else "",
                spki_sha256=_hash(f"of {subject}") if subject else "",
                fingerprint_sha256=_hash(f"print {subject}") if subject else "",
                identity_sha256=_hash(identity) if identity else "",
                identity=identity,
                request_id="",
            )

    def _tallies(self, connection: sa.Connection) -> None:
        rows = []
        for step, count in ((60, 1440), (3600, 720)):
            begin = int(self.now.timestamp()) // step * step
            for place in range(count):
                at = dt.datetime.fromtimestamp(begin - place * step, dt.UTC)
                wave = 1.2 + math.sin((at.hour + at.minute / 60) / 24 * 2 * math.pi)
                for kind, name, rate in (
                    ("connections", "", 14),
                    ("calls", "", 45),
                    ("auth-requests", "known", 3),
                    ("auth-requests", "enrolled", 0.15),
                    ("auth-requests", "identity-taken", 0.02),
                    ("auth-requests", "upstream-unreachable", 0.3 if 7 <= at.hour < 8 else 0),
                    ("handshakes", "no-certificate", 0.2),
                    ("handshakes", "unknown-ca", 0.08),
                    ("handshakes", "not-tls", 0.5 if at.hour == 3 else 0.01),
                    ("handshakes", "expired", 0.05),
                    ("denied-calls", "serial", 0.04),
                ):
                    found = int(rate * wave * step / 60 * self.luck.uniform(0.7, 1.3) + self.luck.random())
                    if found:
                        rows.append({"step": step, "at": at, "kind": kind, "name": name, "count": found})
        connection.execute(sa.insert(tally), rows)

    def _denials(self, connection: sa.Connection) -> None:
        serial = int(_hash("serial 20")[:32], 16)
        stolen = Denial(
            DenialKind.SERIAL,
            "keyCompromise",
            "marta",
            self.ago(days=1, hours=3),
            ISSUER,
            serial,
            note="stolen at the fair",
        )
        held = Denial(
            DenialKind.BATCH, "certificateHold", "jonas", self.ago(hours=6), batch_id=9, until=self.ago(days=-14)
        )
        denials.add(connection, [stolen, held])
        append_all(
            connection, [AuditEntry(stolen.at, "deny", stolen.reason, f"{stolen.what}, by marta: stolen at the fair")]
        )

    @staticmethod
    def _insert(connection: sa.Connection, table: sa.Table, **values: Any) -> None:  # noqa: ANN401 - what columns hold
        connection.execute(sa.insert(table).values(**values))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd")
