"""What kept a device out before or beside an auth request: causes of refused handshakes and calls, and the record.

Auth requests have their own causes: `model.reason`.
"""

import datetime as dt
from dataclasses import dataclass
from enum import Enum, StrEnum


class RefusalKind(StrEnum):
    """Where a device was refused."""

    HANDSHAKE = "handshake"
    """By Envoy or by the device itself, while TLS began; `cause` is a HandshakeCause."""
    CALL = "call"
    """By the denylist in Envoy, after the handshake; `cause` is a CallCause."""
    AUTH_REQUEST = "auth-request"
    """By the enrolment rule or Mender; `cause` is a Reason."""


class HandshakeCause(Enum):
    """Why a TLS handshake failed. The first whose words are in what Envoy says counts.

    The words are BoringSSL's and Envoy's; alerts of the device are RFC 8446 section 6.
    """

    NO_CERTIFICATE = (
        "no-certificate",
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE",),
        "the device sent no certificate",
        "Look for `HttpsClient.Certificate` and `Key` in its mender.conf; a 3.x client that cannot read them has none.",
    )
    UNKNOWN_CA = (
        "unknown-ca",
        (
            "unable_to_get_local_issuer_certificate",
            "unable_to_get_issuer_certificate",
            "self_signed_certificate",
            "unable_to_verify_leaf_signature",
        ),
        "the device certificate is of a CA that the gateway does not know, or its intermediate is missing",
        "Add the CA, or the intermediate that 4.x and 5.x clients do not send, to MTLS_TENANT_CA_PEM.",
    )
    EXPIRED = (
        "expired",
        ("certificate_has_expired",),
        "the device certificate has expired",
        "Renew it with the same subject and issuer, and the identity moves along.",
    )
    NOT_YET_VALID = (
        "not-yet-valid",
        ("certificate_is_not_yet_valid",),
        "the device certificate is not valid yet",
        "Compare its start with the gateway's clock; back-date certificates by a day.",
    )
    REVOKED = (
        "revoked",
        ("certificate_revoked",),
        "the device certificate is in a CRL",
        "`mtls-ambassador pki list` shows who revoked it and why.",
    )
    WRONG_USAGE = (
        "wrong-usage",
        (
            "unsupported_certificate_purpose",
            "unsuitable_certificate_purpose",
            "invalid_CA_certificate",
            "KEY_USAGE_BIT_INCORRECT",
            "unhandled_critical_extension",
            "invalid_or_inconsistent_certificate_extension",
            "subtree_violation",
            "name_constraints",
            "path_length_constraint_exceeded",
        ),
        "the device certificate, or a CA of its chain, is not meant for this use",
        (
            "The device's needs extendedKeyUsage clientAuth or none; a CA's basicConstraints CA:TRUE, and constraints "
            "that let the chain pass. The detail has what Envoy says."
        ),
    )
    BAD_SIGNATURE = (
        "bad-signature",
        ("certificate_signature_failure", "BAD_SIGNATURE"),
        "the device certificate's signature is wrong, or the device does not hold its key",
        "Certificate and key on the device do not belong together, or the certificate was damaged: write both anew.",
    )
    PROTOCOL_TOO_OLD = (
        "protocol-too-old",
        ("UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"),
        "the device offers no TLS version allowed here",
        "Update its TLS library; MTLS_HTTPS_TLS_VERSION_MIN is the lowest version taken.",
    )
    NO_COMMON_ALGORITHM = (
        "no-common-algorithm",
        (
            "NO_COMMON_SIGNATURE_ALGORITHMS",
            "NO_SHARED_CIPHER",
            "NO_SHARED_GROUP",
            "WRONG_SIGNATURE_TYPE",
            "UNSUPPORTED_ALGORITHM",
        ),
        "device and gateway have no signature algorithm, cipher or group in common",
        "Give server and device certificates a key that the device's TLS library knows, such as P-256.",
    )
    PLAIN_HTTP = (
        "plain-http",
        ("HTTP_REQUEST", "HTTPS_PROXY_REQUEST"),
        "plain HTTP on the TLS port",
        "`ServerURL` on the device must begin with https://; or a health check asks the wrong port.",
    )
    SERVER_CA_UNKNOWN = (
        "server-ca-unknown",
        ("ALERT_UNKNOWN_CA",),
        "the device does not know the CA of the gateway's server certificate",
        "Give the device that CA: `ServerCertificate` in mender.conf, or its system trust store.",
    )
    SERVER_EXPIRED = (
        "server-expired",
        ("ALERT_CERTIFICATE_EXPIRED",),
        "the device finds the gateway's server certificate expired",
        "Compare the end of the server certificate with the device's clock.",
    )
    SERVER_REFUSED = (
        "server-refused",
        (
            "ALERT_BAD_CERTIFICATE",
            "ALERT_CERTIFICATE_UNKNOWN",
            "ALERT_UNSUPPORTED_CERTIFICATE",
            "ALERT_ACCESS_DENIED",
            # OpenSSL sends its alert unencrypted in TLS 1.3 where it refuses the server's certificate (tried: 3.0), so
            # that its words cannot be read here.
            "DECRYPTION_FAILED_OR_BAD_RECORD_MAC",
        ),
        "the device refuses the gateway's server certificate",
        "Its clock is wrong (in 1970 no certificate is valid yet), `ServerURL` has another name, or it lacks the CA.",
    )
    NOT_TLS = (
        "not-tls",
        ("WRONG_VERSION_NUMBER", "BAD_PACKET_LENGTH", "UNEXPECTED_MESSAGE"),
        "what came is not TLS",
        "A port scan, or a proxy that speaks its own protocol in front.",
    )
    HUNG_UP = (
        "hung-up",
        ("CONNECTION_TERMINATION", "CONNECTION_RESET", "remote connection failure", "closed", "EOF"),
        "the device hung up during the handshake",
        "A port scan, a health check without TLS, or a network that drops connections.",
    )
    TIMED_OUT = (
        "timed-out",
        ("timeout",),
        "the handshake took too long",
        "A slow network, or a connection that says nothing; MTLS_HANDSHAKE_TIMEOUT is the limit.",
    )
    OTHER = ("other", (), "the handshake failed", "The detail has what Envoy says.")

    def __init__(self, code: str, marks: tuple[str, ...], text: str, hint: str) -> None:
        self.code = code
        """Stable name for metrics, logs and scripts."""
        self.marks = marks
        """Words by which Envoy's reason is known as this."""
        self.text = text
        """The cause in plain words."""
        self.hint = hint
        """What to do about it."""

    @classmethod
    def of(cls, reason: str) -> "HandshakeCause":
        """The cause in Envoy's `%DOWNSTREAM_TRANSPORT_FAILURE_REASON%`."""
        lower = reason.lower()
        return next((item for item in cls if any(mark.lower() in lower for mark in item.marks)), cls.OTHER)


class CallCause(Enum):
    """Why the denylist in Envoy refused a call (`envoy.denylist`)."""

    SERIAL = ("serial", "its serial is denied")
    DATES = ("dates", "certificates of its time are denied")
    CA = ("ca", "its CA is denied")
    UNSEEN = ("unseen", "its CA only lets in devices seen before")
    EXPIRED = ("expired", "the device certificate has expired")
    NOT_YET_VALID = ("not-yet-valid", "the device certificate is not valid yet")
    OTHER = ("unknown", "the denylist could not be asked")

    def __init__(self, code: str, text: str) -> None:
        self.code = code
        """What the filter says."""
        self.text = text
        """The cause in plain words."""

    @classmethod
    def of(cls, code: str) -> "CallCause":
        """The cause of a code; OTHER for one that is not known."""
        return next((item for item in cls if item.code == code), cls.OTHER)


@dataclass(frozen=True, slots=True)
class Refusal:
    """One or more refusals alike, within a minute; texts are empty where nothing was seen."""

    first_at: dt.datetime
    at: dt.datetime
    """Of the last one."""
    kind: RefusalKind
    cause: str
    """Code of a HandshakeCause, CallCause or Reason."""
    detail: str = ""
    """What was seen: Envoy's own words, or the enrolment's detail."""
    count: int = 1
    address: str = ""
    """Without the port; empty when refusals of many addresses were put together under attack."""
    server_name: str = ""
    """The name the device asked for (SNI)."""
    tls_version: str = ""
    serial: str = ""
    """Lower-case hex without leading zeros."""
    subject: str = ""
    issuer: str = ""
    """RFC 4514 text, as `DeviceCertificate` has it."""
    spki_sha256: str = ""
    fingerprint_sha256: str = ""
    identity_sha256: str = ""
    identity: str = ""
    request_id: str = ""
    number: int = 0
    """Its row; 0 when it has none yet."""
