"""Which denials hit a certificate."""

import datetime as dt

import pytest

from mtls_ambassador.decide.who_is_denied import DenialIndex
from mtls_ambassador.model.certificate import Named
from mtls_ambassador.model.denial import Denial, DenialKind

NOW = dt.datetime(2026, 11, 28, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


def denial(kind: DenialKind, **named: object) -> Denial:
    return Denial(kind, "unspecified", "me", NOW, **named)  # type: ignore[arg-type]  # a test's shorthand


CERTIFICATE = Named("CN=CA", 15, "ab", NOW)


@pytest.mark.parametrize(
    ("item", "hits"),
    [
        (denial(DenialKind.SERIAL, serial=15), True),
        (denial(DenialKind.SERIAL, serial=15, issuer="CN=CA"), True),
        (denial(DenialKind.SERIAL, serial=15, issuer="CN=Other"), False),
        (denial(DenialKind.SERIAL, serial=16), False),
        (denial(DenialKind.KEY, spki_sha256="ab"), True),
        (denial(DenialKind.KEY, spki_sha256="cd"), False),
        (denial(DenialKind.BATCH, batch_id=1), True),
        (denial(DenialKind.BATCH, batch_id=2), False),
        (denial(DenialKind.DATES, begins=NOW, ends=NOW + HOUR), True),
        (denial(DenialKind.DATES, begins=NOW - HOUR, ends=NOW), False),
        (denial(DenialKind.DATES, begins=NOW, ends=NOW + HOUR, issuer="CN=Other"), False),
        (denial(DenialKind.CA, issuer="CN=CA"), True),
        (denial(DenialKind.CA, issuer="CN=Other"), False),
    ],
)
def test_a_denial_hits_what_it_names(item: Denial, *, hits: bool) -> None:
    assert DenialIndex([item], {1: [14, 15], 2: [16]}).that_hit(CERTIFICATE) == ([item] if hits else [])


def test_what_is_not_known_of_a_certificate_is_not_compared() -> None:
    of_other = denial(DenialKind.SERIAL, serial=15, issuer="CN=Other")
    wide = denial(DenialKind.CA, issuer="CN=CA"), denial(DenialKind.DATES, begins=NOW, ends=NOW + HOUR)
    index = DenialIndex([of_other, *wide], {})
    assert index.that_hit(Named("", 15)) == [of_other]
    assert index.that_hit(Named("", None, "ab")) == []
