"""By which lists of files a certificate is denied, for a command line beside a gateway, or without one."""

import datetime as dt

from mtls_ambassador.flows.compile_denylist import read_blacklist
from mtls_ambassador.flows.inputs import Inputs
from mtls_ambassador.flows.trust_files import read_authorities
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.settings import Settings


def listed(settings: Settings, certificate: DeviceCertificate, now: dt.datetime) -> list[str]:
    """Each in words. Fails closed: a list that cannot be read is told as one that denies the certificate."""
    own = b"%040x" % certificate.serial
    found = []
    try:
        if own in read_blacklist(settings):
            found.append(f"serial {certificate.serial_hex} in {settings.blacklist}")
        if settings.crl is not None:
            known = Inputs(authorities=read_authorities(settings)[1]).with_crls(settings, now).crls
            if known is not None and own in known.serials.get(certificate.issuer, frozenset()):
                found.append(f"serial {certificate.serial_hex} in the CRL {settings.crl}")
    except AmbassadorError as error:
        found.append(f"a list cannot be read: {error}")
    return found
