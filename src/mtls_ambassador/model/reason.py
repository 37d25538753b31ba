"""Why a device got in or did not: the one list that log, page, metric, audit and `why` share."""

from enum import Enum
from http import HTTPStatus


class Verdict(Enum):
    """What a reason means for the device."""

    GRANTED = "granted"
    REFUSED = "refused"
    LATER = "later"
    """Nothing was decided; the same request may succeed later."""


class Reason(Enum):
    """One way an auth request can end: its code, what the device is answered, and the cause in plain words."""

    KNOWN = ("known", HTTPStatus.OK, "accepted before with this key")
    ENROLLED = ("enrolled", HTTPStatus.OK, "new device, preauthorized by its certificate")
    KEY_ACCEPTED = ("key-accepted", HTTPStatus.OK, "known device with a new key, accepted by its certificate")
    ACCEPTED_UPSTREAM = ("accepted-upstream", HTTPStatus.OK, "a person or another gateway had accepted it in Mender")

    MALFORMED = ("malformed", HTTPStatus.BAD_REQUEST, "not an auth request Mender would take")
    TOO_LARGE = ("too-large", HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the auth request is larger than 64 KiB")
    SIGNATURE_MISSING = ("signature-missing", HTTPStatus.BAD_REQUEST, "the header X-MEN-Signature is missing")
    SIGNATURE_WRONG = ("signature-wrong", HTTPStatus.UNAUTHORIZED, "X-MEN-Signature does not fit body and public key")

    CERTIFICATE_UNREADABLE = ("certificate-unreadable", HTTPStatus.UNAUTHORIZED, "no readable device certificate")
    CERTIFICATE_NOT_YET_VALID = ("certificate-not-yet-valid", HTTPStatus.UNAUTHORIZED, "the certificate starts later")
    CERTIFICATE_EXPIRED = ("certificate-expired", HTTPStatus.UNAUTHORIZED, "the certificate has expired")
    CERTIFICATE_DENIED = ("certificate-denied", HTTPStatus.UNAUTHORIZED, "the certificate is denied by the operator")
    KEY_NOT_CERTIFICATES = (
        "key-not-certificates",
        HTTPStatus.UNAUTHORIZED,
        "the auth key is not the certificate's key, and key binding is `certificate`",
    )
    KEY_SPEAKS_FOR_OTHER = (
        "key-speaks-for-other",
        HTTPStatus.UNAUTHORIZED,
        "the certificate's key has enrolled another identity before",
    )
    IDENTITY_TAKEN = (
        "identity-taken",
        HTTPStatus.UNAUTHORIZED,
        "the identity was enrolled by a certificate with another subject or issuer",
    )
    TEMPLATE_MISMATCH = (
        "template-mismatch",
        HTTPStatus.UNAUTHORIZED,
        "the identity is not what the certificate says under the identity template",
    )

    REJECTED_BY_PERSON = (
        "rejected-by-person",
        HTTPStatus.UNAUTHORIZED,
        "rejected in Mender; accept it there to let it in",
    )
    DECOMMISSIONED = (
        "decommissioned",
        HTTPStatus.UNAUTHORIZED,
        "decommissioned in Mender; accept it there to let it in",
    )
    WITHDRAWN = ("withdrawn", HTTPStatus.UNAUTHORIZED, "was accepted once, but Mender no longer accepts it")
    DEVICE_LIMIT = ("device-limit", HTTPStatus.UNAUTHORIZED, "Mender's device limit is reached")
    REFUSED_UPSTREAM = ("refused-upstream", HTTPStatus.UNAUTHORIZED, "Mender refused the auth request")

    UPSTREAM_UNREACHABLE = (
        "upstream-unreachable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "no connection to the Mender server",
    )
    UPSTREAM_UNTRUSTED = (
        "upstream-untrusted",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the Mender server's certificate is not trusted",
    )
    UPSTREAM_SLOW = ("upstream-slow", HTTPStatus.SERVICE_UNAVAILABLE, "the Mender server did not answer in time")
    UPSTREAM_FAILED = ("upstream-failed", HTTPStatus.SERVICE_UNAVAILABLE, "the Mender server answered with an error")
    UPSTREAM_THROTTLED = (
        "upstream-throttled",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the Mender server asks for fewer calls",
    )
    LOGIN_REFUSED = ("login-refused", HTTPStatus.SERVICE_UNAVAILABLE, "the Mender server refused the gateway's login")
    NOT_PERMITTED = ("not-permitted", HTTPStatus.SERVICE_UNAVAILABLE, "the gateway's Mender user may not do this")
    STORE_FAILED = ("store-failed", HTTPStatus.SERVICE_UNAVAILABLE, "the gateway's own store failed")
    OVERLOADED = ("overloaded", HTTPStatus.SERVICE_UNAVAILABLE, "too many auth requests at once")
    INTERNAL = ("internal", HTTPStatus.SERVICE_UNAVAILABLE, "a fault in the gateway itself; the log has it")

    def __init__(self, code: str, status: HTTPStatus, text: str) -> None:
        self.code = code
        """Stable name for metrics, logs and scripts."""
        self.status = status
        """What the device is answered when the gateway itself answers."""
        self.text = text
        """The cause in plain words."""

    @property
    def withdraws(self) -> bool:
        """Whether it is Mender's "no" to a device it once accepted: a person's word that only Mender can undo."""
        return self in {Reason.REJECTED_BY_PERSON, Reason.DECOMMISSIONED, Reason.WITHDRAWN}

    @property
    def verdict(self) -> Verdict:
        """What it means for the device."""
        if self.status == HTTPStatus.OK:
            return Verdict.GRANTED
        return Verdict.LATER if self.status == HTTPStatus.SERVICE_UNAVAILABLE else Verdict.REFUSED


class RefusedError(Exception):
    """An auth request ends here, for `reason`; `detail` adds what was seen and never holds a secret."""

    def __init__(
        self,
        reason: Reason,
        detail: str = "",
        *,
        retry_after: float | None = None,
        status: int | None = None,
    ) -> None:
        super().__init__(f"{reason.text}: {detail}" if detail else reason.text)
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after
        """Seconds upstream asked to wait, where it did."""
        self.status = status or int(reason.status)
        """What the device is answered: Mender's own status where it gave one."""
