"""Whether an operator may move an identity to a certificate, and whether that would have an effect."""

import datetime as dt

import sqlalchemy as sa
from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.decide.identity_template import IdentityTemplate
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.reason import Reason
from mtls_ambassador.pki.approvable import Chain, device_fault
from mtls_ambassador.pki.parse import device_certificate
from mtls_ambassador.settings import BindingMode, IdentityBinding
from mtls_ambassador.store.tables import audit

LOOKED_AT = 200
"""The newest events of an identity among which a refused certificate is looked for."""


def presented(chain: Chain, bundle: Chain, now: dt.datetime) -> DeviceCertificate:
    """The first, as the device's. Fails closed: raises ValueError when the gateway would not take it."""
    fault = device_fault(chain, bundle, now)
    if fault is not None:
        raise ValueError(f"{fault}; nothing was changed")
    try:
        return device_certificate(chain[0].public_bytes(Encoding.PEM))
    except ValueError as error:
        raise ValueError("has a key or name that cannot be read; issue another") from error


def warn_of_effect(binding: IdentityBinding, identity: Identity, certificate: DeviceCertificate | None) -> str:
    """What to know of an approval under this binding; empty for nothing. Raises AmbassadorError when it has no effect.

    Without a certificate, whether it fits a template is not known, and so taken for no.
    """
    if binding.mode is BindingMode.OFF:
        raise AmbassadorError(
            "an approval has no effect with MTLS_IDENTITY_BINDING=off, by which any certificate may enrol any identity;"
            " nothing was changed"
        )
    if binding.mode is not BindingMode.TEMPLATE:
        return ""
    rule = f"MTLS_IDENTITY_BINDING={binding.template}"
    template = IdentityTemplate.parse(binding.template)
    if certificate is None or not template.matches(identity.attributes, certificate.names):
        raise AmbassadorError(
            f"an approval has no effect with {rule}, which this certificate and identity do not fit;"
            " issue a certificate that fits; nothing was changed"
        )
    return (
        f"with {rule} an approval has no effect, except on a key that enrolled another identity before:"
        " the template alone decides who may speak for an identity"
    )


def refused_certificate(connection: sa.Connection, identity: Identity, spki_sha256: str) -> DeviceCertificate | None:
    """The certificate of this key that was refused because the identity is another's, as the audit has it.

    Envoy has verified it then; its dates and the names in it are not known here.
    """
    newest = (
        sa.select(audit).where(audit.c.identity_sha256 == identity.sha256).order_by(audit.c.id.desc()).limit(LOOKED_AT)
    ).subquery()
    chosen = sa.select(newest).where(
        newest.c.certificate_spki_sha256 == spki_sha256, newest.c.reason == Reason.IDENTITY_TAKEN.code
    )
    row = connection.execute(chosen.limit(1)).one_or_none()
    if row is None:
        return None
    issuer, subject = row.certificate_issuer, row.certificate_subject
    return DeviceCertificate(int(row.certificate_serial, 16), issuer, subject, spki_sha256, "", row.at, row.at, {})
