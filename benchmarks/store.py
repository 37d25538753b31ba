"""A store of a million certificates: bytes a row, rows a second, look-ups, revocation and a CRL of 100 000 entries.

Rows go in through the store's own functions as a batch puts them in: reserved, issued, done. Certificates have the
length of real ones and random content, because making a million is another benchmark.
"""

import argparse
import datetime as dt
import gc
import hashlib
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import sqlalchemy as sa

from measure.report import Report
from mtls_ambassador.flows.revoke import Order, Target, revoke
from mtls_ambassador.flows.write_crl import CrlOrder, write_crl
from mtls_ambassador.model.revocation import RevocationReason
from mtls_ambassador.pki.authority import Authority
from mtls_ambassador.pki.issue import Validity, make_ca
from mtls_ambassador.pki.journal import Journal
from mtls_ambassador.pki.lint import check_crl
from mtls_ambassador.settings import Secret, StoreSettings
from mtls_ambassador.store import audit, batches, certificates
from mtls_ambassador.store.certificates import Filter, Issued, Reservation
from mtls_ambassador.store.database import Database, open_database

CHUNK, ENTRIES, PROBES = 5000, 100_000, 300
DER_OCTETS = 560
"""A P-256 device certificate with subject and SAN of some length; `pki device` makes 480 to 600."""
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)
VALIDITY = Validity(NOW, NOW + dt.timedelta(days=3650))
GOAL_BYTES, GOAL_MILLISECONDS, GOAL_CRL_SECONDS = 1500, 5.0, 2.0


REPORT = Report()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--postgresql", metavar="URL", help="an empty database to use instead of SQLite")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers to FILE too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="store-") as folder:
        url = Secret(args.postgresql) if args.postgresql else None
        settings = StoreSettings(Path(folder), url, Path(folder) / "pki")
        with open_database(settings) as database:
            code = measure(database, settings, args.rows)
    REPORT.save(args.json)
    return code


def measure(database: Database, settings: StoreSettings, rows: int) -> int:
    pair = make_ca("Benchmark CA", VALIDITY)
    authority = Authority("root", pair.certificate, (), pair.key)
    fill(database, authority.issuer_sha256, rows)
    good = [show("bytes a row, indexes and all", size(database, settings) / rows, GOAL_BYTES)]
    good += look_up(database, authority.issuer_sha256, rows)
    listed = min(ENTRIES, rows)
    with timed(f"{listed} listed, s"), database.snapshot() as connection:
        found = sum(1 for _ in islice(certificates.select(connection, Filter()), listed))
    good.append(make_crl(database, authority, settings, min(ENTRIES, rows)))
    with timed("audit verified, s"), database.snapshot() as connection:
        fault = audit.verify(connection).fault
    show("memory at most, MB", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    if found != listed or fault:
        raise SystemExit(f"{found} of {listed} rows; audit: {fault}")
    return 0 if all(good) else 1


def show(name: str, value: float, goal: float | None = None) -> bool:
    good = None if goal is None else value <= goal
    REPORT.row(f"store: {name}", f"{value:.2f}", "" if goal is None else f"<= {goal:g}", good=good)
    return good is not False


@contextmanager
def timed(name: str, goal: float | None = None) -> Iterator[list[bool]]:
    good: list[bool] = []
    started = time.perf_counter()
    yield good
    good.append(show(name, time.perf_counter() - started, goal))


def issued(issuer: bytes, number: int) -> Issued:
    """Certificate `number`, the same each time it is asked for."""
    source = random.Random(number)  # noqa: S311 - sizes matter, secrecy does not
    der = source.randbytes(DER_OCTETS)
    digest = hashlib.sha256(der).digest()
    serial = source.getrandbits(126) | 1 << 126
    return Issued(serial, issuer, der, digest[::-1], digest, subject(number), NOW, VALIDITY.not_after)


def subject(number: int) -> str:
    return f"CN=dev-{number:07},OU=Devices,O=Example Manufacturing GmbH,C=DE"


def fill(database: Database, issuer: bytes, count: int) -> None:
    started, cpu, made_cpu = time.perf_counter(), time.process_time(), 0.0
    with database.transaction() as connection:
        batch, _ = batches.open_batch(connection, "benchmark", bytes(32), issuer, count, NOW)
    for first in range(0, count, CHUNK):
        begun = time.process_time()
        numbers = range(first, min(first + CHUNK, count))
        made = [issued(issuer, number) for number in numbers]
        made_cpu += time.process_time() - begun
        names = (f"dev-{number:07}" for number in numbers)
        rows = [
            Reservation(item.serial, issuer, name, "device", batch.id, NOW)
            for item, name in zip(made, names, strict=True)
        ]
        with database.transaction() as connection:
            certificates.reserve(connection, rows)
        with database.transaction() as connection:
            certificates.mark_issued(connection, made)
        with database.transaction() as connection:
            certificates.mark_done(connection, [(issuer, item.serial) for item in made], NOW)
    show("rows recorded a second", count / (time.perf_counter() - started))
    show("CPU a row, microseconds", (time.process_time() - cpu - made_cpu) / count * 1e6)


def size(database: Database, settings: StoreSettings) -> float:
    if database.engine.dialect.name == "sqlite":
        return float(sum(path.stat().st_size for path in settings.state_dir.glob("*.db")))
    with database.snapshot() as connection:
        query = sa.text("SELECT pg_total_relation_size('certificate')")
        return float(connection.execute(query).scalar_one())


def look_up(database: Database, issuer: bytes, count: int) -> list[bool]:
    source = random.Random(2)  # noqa: S311 - see `issued`
    picked = [(number, issued(issuer, number)) for number in source.sample(range(count), min(PROBES, count))]
    ways: dict[str, Callable[[sa.Connection, int, Issued], object]] = {
        "serial": lambda c, _, item: certificates.find(c, serial=item.serial),
        "name": lambda c, number, _: certificates.find(c, name=f"dev-{number:07}"),
        "fingerprint": lambda c, _, item: certificates.find(c, fingerprint=item.fingerprint),
        "key": lambda c, _, item: certificates.find(c, spki=item.spki_sha256),
    }
    good = []
    for name, way in ways.items():
        times = []
        for number, item in picked:
            started = time.perf_counter()
            with database.snapshot() as connection:
                way(connection, number, item)
            times.append((time.perf_counter() - started) * 1000)
        good.append(show(f"look-up by {name}, median, ms", statistics.median(times), GOAL_MILLISECONDS))
        show("    99th percentile, ms", statistics.quantiles(times, n=100)[98])
    return good


def make_crl(database: Database, authority: Authority, settings: StoreSettings, count: int) -> bool:
    issuer, journal = authority.issuer_sha256, Journal(settings.pki_dir)
    targets = [
        Target(issuer, item.serial, subject=item.subject, not_after=item.not_after)
        for item in (issued(issuer, number) for number in range(count))
    ]
    order = Order(RevocationReason.SUPERSEDED, "benchmark", NOW)
    with timed(f"{count} revoked, journal and audit too, s"):
        revoke(database, journal, targets, order, dry_run=False)
    wanted = CrlOrder(NOW, dt.timedelta(days=30), "benchmark", settings.pki_dir / "crl.pem")
    gc.disable()  # as the command does
    with timed(f"CRL of {count} written, s", GOAL_CRL_SECONDS) as first:
        written = write_crl(database, journal, authority, wanted, check_crl)
    if written.entries != count:
        raise SystemExit(f"{written.entries} entries, not {count}")
    return first[0]


if __name__ == "__main__":
    raise SystemExit(main())
