"""A CRL of so many entries, signed by the benchmark's CA."""

import datetime as dt

from cryptography import x509

from mtls_ambassador.model.revocation import CrlEntry, RevocationReason
from mtls_ambassador.pki.authority import Authority
from mtls_ambassador.pki.crl import CrlHead, crl_pem, make_crl
from mtls_ambassador.pki.issue import Pair


def crl_of(ca: Pair, serials: list[int]) -> bytes:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    head = CrlHead(len(serials) + 1, now - dt.timedelta(hours=1), now + dt.timedelta(days=7))
    entries = [CrlEntry(one, RevocationReason.KEY_COMPROMISE, head.this_update, None) for one in sorted(serials)]
    certificate = x509.load_pem_x509_certificate(ca.certificate_pem)
    return crl_pem(make_crl(Authority("ca", certificate, (), ca.key), head, entries).der)
