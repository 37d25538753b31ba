"""A fleet of any size put into a store in bulk, as enrolments, the factory and the ledger would have left it."""

import datetime as dt
import hashlib
import uuid
from collections.abc import Iterator

import sqlalchemy as sa

from mtls_ambassador.store.denial_tables import seen
from mtls_ambassador.store.ledger_tables import contact, refusal
from mtls_ambassador.store.pki_tables import batch, certificate
from mtls_ambassador.store.tables import audit, device, pin

CHUNK = 5_000
ISSUER = "CN=Example Devices CA,O=Example Manufacturing GmbH,C=DE"
CA = b"\1" * 32
DAY = dt.timedelta(days=1)
CAUSES = ("no-certificate", "unknown-ca", "expired", "not-tls", "hung-up")
TABLES = (device, pin, seen, contact, certificate)


def fill(connection: sa.Connection, count: int, refusals: int, now: dt.datetime) -> None:
    """So many devices, each with a certificate of a batch, an audit row and a contact; every 50th is withdrawn."""
    made = {"order_sha256": bytes(32), "issuer_sha256": CA, "quantity": count, "created_at": now, "finished_at": now}
    connection.execute(sa.insert(batch).values(id=1, name="lot-1", **made))
    for first in range(0, count, CHUNK):
        rows = [rows_of(number, now) for number in range(first, min(first + CHUNK, count))]
        for place, table in enumerate((*TABLES, audit)):
            connection.execute(sa.insert(table), [row[place] for row in rows])
    for first in range(0, refusals, CHUNK):
        numbers = range(first, min(first + CHUNK, refusals))
        connection.execute(sa.insert(refusal), list(refused(numbers, now)))


def identity_of(number: int) -> str:
    """Canonical, as Mender has it."""
    digits = f"{number * 0x9E3779B97F % 2**40:010x}"  # an odd factor: no two are the same
    return f'{{"mac":"52:{":".join(digits[place : place + 2] for place in range(0, 10, 2))}"}}'


def rows_of(number: int, now: dt.datetime) -> tuple[dict[str, object], ...]:
    """One row of each table."""
    identity = identity_of(number)
    sha256 = hashlib.sha256(identity.encode()).hexdigest()
    key, print_ = (hashlib.sha256(kind + b"%d" % number).hexdigest() for kind in (b"key", b"print"))
    serial = int(hashlib.sha256(b"serial%d" % number).hexdigest()[:32], 16)
    name = f"dev-{number:07}"
    subject, first_at = f"CN={name},OU=Devices,O=Example Manufacturing GmbH,C=DE", now - 300 * DAY
    last = now - (30 * DAY if number % 100 == 7 else dt.timedelta(minutes=number % 1440))
    owned = {"spki_sha256": key, "subject": subject, "issuer": ISSUER}
    return (
        {
            "number": number + 1,
            "identity_sha256": sha256,
            "identity": identity,
            "standing": "accepted" if number % 50 else "withdrawn",
            "auth_key_sha256": key,
            "device_id": str(uuid.UUID(hex=print_[:32])),
            "certificate_serial": f"{serial:x}",
            "certificate_subject": subject,
            "enrolled_at": first_at,
            "updated_at": first_at,
        },
        owned | {"identity_sha256": sha256, "state": "held", "pinned_at": first_at},
        owned
        | {
            "serial": serial,
            "not_before": first_at,
            "identity_sha256": sha256,
            "first_at": first_at,
            "fingerprint_sha256": print_,
            "batch_id": 1,
        },
        {
            "fingerprint_sha256": print_,
            "serial": f"{serial:x}",
            "subject": subject,
            "issuer": ISSUER,
            "first_at": first_at,
            "at": last,
            "address": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
            "tls_version": "TLSv1.3",
            "connections": 100,
        },
        {
            "issuer_sha256": CA,
            "serial": serial,
            "name": name,
            "profile": "device",
            "batch_id": 1,
            "status": "done",
            "reserved_at": first_at,
            "done_at": first_at,
            "not_before": first_at,
            "not_after": now + (number % 3650) * DAY,
            "subject": subject,
            "spki_sha256": bytes.fromhex(key),
            "fingerprint": bytes.fromhex(print_),
        },
        {
            "at": first_at,
            "event": "auth-request",
            "reason": "enrolled",
            "detail": "",
            "identity_sha256": sha256,
            "identity": identity,
            "auth_key_sha256": key,
            "certificate_serial": f"{serial:x}",
            "certificate_subject": subject,
            "certificate_issuer": ISSUER,
            "certificate_spki_sha256": key,
            "address": "10.0.0.1",
            "request_id": "",
        },
    )


def refused(numbers: range, now: dt.datetime) -> Iterator[dict[str, object]]:
    """Refusals, some of devices that are known."""
    for number in numbers:
        empty = dict.fromkeys(("detail", "server_name", "serial", "subject", "issuer", "spki_sha256", "request_id"), "")
        more = {"fingerprint_sha256": "", "identity_sha256": "", "identity": "", "tls_version": "TLSv1.3"}
        if number % 10 == 0:
            more |= {"spki_sha256": hashlib.sha256(b"key%d" % (number // 10)).hexdigest()}
        at = now - dt.timedelta(seconds=number)
        seen_there = {"first_at": at, "at": at, "count": 1, "kind": "handshake", "cause": CAUSES[number % 5]}
        yield empty | more | seen_there | {"address": f"198.51.{number >> 8 & 255}.{number & 255}"}
