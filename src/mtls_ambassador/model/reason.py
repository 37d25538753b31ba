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

    KNOWN = ("known", HTTPStatus.OK, "accepted before with this key", "")
    ENROLLED = ("enrolled", HTTPStatus.OK, "new device, preauthorized by its certificate", "")
    KEY_ACCEPTED = ("key-accepted", HTTPStatus.OK, "known device with a new key, accepted by its certificate", "")
    ACCEPTED_UPSTREAM = (
        "accepted-upstream",
        HTTPStatus.OK,
        "a person or another gateway had accepted it in Mender",
        "",
    )

    MALFORMED = (
        "malformed",
        HTTPStatus.BAD_REQUEST,
        "not an auth request Mender would take",
        "The detail names the member at fault. A real client sends none such: look at what the device runs.",
    )
    TOO_LARGE = (
        "too-large",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "the auth request is larger than 64 KiB",
        "Look at the device's identity script.",
    )
    SIGNATURE_MISSING = (
        "signature-missing",
        HTTPStatus.BAD_REQUEST,
        "the header X-MEN-Signature is missing",
        "A proxy between device and gateway may drop it.",
    )
    SIGNATURE_WRONG = (
        "signature-wrong",
        HTTPStatus.UNAUTHORIZED,
        "X-MEN-Signature does not fit body and public key",
        "A proxy that rewrites bodies, or a forged request.",
    )
    CERTIFICATE_UNREADABLE = (
        "certificate-unreadable",
        HTTPStatus.UNAUTHORIZED,
        "no readable device certificate",
        "The detail says why it cannot be read; issue the device another one.",
    )
    CERTIFICATE_NOT_YET_VALID = (
        "certificate-not-yet-valid",
        HTTPStatus.UNAUTHORIZED,
        "the certificate starts later",
        "Compare its start with the gateway's clock; back-date certificates by a day.",
    )
    CERTIFICATE_EXPIRED = (
        "certificate-expired",
        HTTPStatus.UNAUTHORIZED,
        "the certificate has expired",
        "Renew it: same subject and issuer, and the identity moves along.",
    )
    CERTIFICATE_DENIED = (
        "certificate-denied",
        HTTPStatus.UNAUTHORIZED,
        "the certificate is denied by the operator",
        "Somebody denied it on purpose; the denylist says who and why.",
    )
    KEY_NOT_CERTIFICATES = (
        "key-not-certificates",
        HTTPStatus.UNAUTHORIZED,
        "the auth key is not the certificate's key, and key binding is `certificate`",
        "Set `Security.AuthPrivateKey` in mender.conf to the certificate's key, or MTLS_KEY_BINDING=any.",
    )
    KEY_SPEAKS_FOR_OTHER = (
        "key-speaks-for-other",
        HTTPStatus.UNAUTHORIZED,
        "the certificate's key has enrolled another identity before",
        "Two devices with one key: issue another certificate. A device whose identity changed: `device approve` it.",
    )
    IDENTITY_TAKEN = (
        "identity-taken",
        HTTPStatus.UNAUTHORIZED,
        "the identity was enrolled by a certificate with another subject or issuer",
        "A board that got another certificate: `device approve` it. If not, somebody claims another's identity.",
    )
    TEMPLATE_MISMATCH = (
        "template-mismatch",
        HTTPStatus.UNAUTHORIZED,
        "the identity is not what the certificate says under the identity template",
        "Compare the identity with the certificate's subject and MTLS_IDENTITY_BINDING; case counts.",
    )
    REJECTED_BY_PERSON = (
        "rejected-by-person",
        HTTPStatus.UNAUTHORIZED,
        "rejected in Mender",
        "Accept the device in Mender to let it in.",
    )
    DECOMMISSIONED = (
        "decommissioned",
        HTTPStatus.UNAUTHORIZED,
        "decommissioned in Mender",
        "It shows up as pending in Mender; accept it there to let it in.",
    )
    WITHDRAWN = (
        "withdrawn",
        HTTPStatus.UNAUTHORIZED,
        "was accepted once, but Mender no longer accepts it",
        "Look at the device in Mender; accept it there to let it in.",
    )
    DEVICE_LIMIT = (
        "device-limit",
        HTTPStatus.UNAUTHORIZED,
        "Mender's device limit is reached",
        "Raise the limit, or decommission devices that are gone.",
    )
    REFUSED_UPSTREAM = (
        "refused-upstream",
        HTTPStatus.UNAUTHORIZED,
        "Mender refused the auth request",
        "The detail has Mender's answer; often the TenantToken belongs to another tenant than the gateway's user.",
    )

    UPSTREAM_UNREACHABLE = (
        "upstream-unreachable",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "no connection to the Mender server",
        "`mtls-ambassador check` from the gateway's machine: DNS, routing, firewall.",
    )
    UPSTREAM_UNTRUSTED = (
        "upstream-untrusted",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the Mender server's certificate is not trusted",
        "Put its CA into MTLS_MENDER_CERT; `check` says what is wrong with it.",
    )
    UPSTREAM_SLOW = (
        "upstream-slow",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the Mender server did not answer in time",
        "Look at the server; MTLS_UPSTREAM_TIMEOUT is how long the gateway waits.",
    )
    UPSTREAM_FAILED = (
        "upstream-failed",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the Mender server answered with an error",
        "The detail has the status; look at the server's log.",
    )
    UPSTREAM_THROTTLED = (
        "upstream-throttled",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the Mender server asks for fewer calls",
        "Raise the server's rate limit for the gateway's user.",
    )
    LOGIN_REFUSED = (
        "login-refused",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the Mender server refused the gateway's login",
        "User, password or token are wrong, expired, or the user has two-factor login.",
    )
    NOT_PERMITTED = (
        "not-permitted",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the gateway's Mender user may not do this",
        "Give it the right to preauthorize and read devices and to change auth sets.",
    )
    STORE_FAILED = (
        "store-failed",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the gateway's own store failed",
        "Disk full or read-only, or the database is down; recovery needs no restart.",
    )
    OVERLOADED = (
        "overloaded",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "too many auth requests at once",
        "Devices come again by themselves; MTLS_ENROL_CONCURRENCY if it lasts and the server can take more.",
    )
    INTERNAL = (
        "internal",
        HTTPStatus.SERVICE_UNAVAILABLE,
        "a fault in the gateway itself",
        "The log has it; please report it.",
    )

    def __init__(self, code: str, status: HTTPStatus, text: str, hint: str) -> None:
        self.code = code
        """Stable name for metrics, logs and scripts."""
        self.status = status
        """What the device is answered when the gateway itself answers."""
        self.text = text
        """The cause in plain words."""
        self.hint = hint
        """What to do about it; empty when nothing is to be done."""

    @classmethod
    def with_code(cls, code: str) -> "Reason | None":
        """The one of that code; None for a code that is none of these."""
        return next((item for item in cls if item.code == code), None)

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
