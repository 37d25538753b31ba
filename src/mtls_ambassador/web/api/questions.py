"""What may be asked: queries and bodies, with the bounds that routing, checks and documents share."""

import datetime as dt
from typing import Annotated

import msgspec
from msgspec import Meta

from mtls_ambassador.model.device import Standing
from mtls_ambassador.model.operator import Scope
from mtls_ambassador.model.refusal import RefusalKind
from mtls_ambassador.model.revocation import RevocationReason

Limit = Annotated[int, Meta(ge=1, le=500, description="Items of a page at the most.")]
After = Annotated[str, Meta(max_length=2000, description="The `next` of the page before.")]
Time = Annotated[dt.datetime, Meta(tz=True)]
Short = Annotated[str, Meta(max_length=200)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Serial = Annotated[str, Meta(pattern="^[0-9A-Fa-f]{1,40}$", description="Hexadecimal, without colons.")]
Pem = Annotated[str, Meta(min_length=1, max_length=65_536, description="Certificates in PEM, the device's first.")]
IdentityText = Annotated[str, Meta(min_length=2, max_length=65_536, description="The JSON object, as text.")]


class Paged(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A page."""

    limit: Limit = 50
    after: After = ""


class DevicesQuery(Paged, frozen=True, forbid_unknown_fields=True):
    """Which devices."""

    text: Annotated[
        str, Meta(max_length=200, description="Any part of identity, serial, subject or Mender's id of the device.")
    ] = ""
    standing: Standing | None = None
    silent_since: Annotated[Time | None, Meta(description="Only those without a connection since.")] = None


class CertificatesQuery(Paged, frozen=True, forbid_unknown_fields=True):
    """Which certificates."""

    name: Annotated[str, Meta(max_length=200, description="Its beginning; case counts.")] = ""
    serial: Serial | None = None
    batch: Annotated[int, Meta(ge=1, le=2**62)] | None = None
    status: Annotated[str, Meta(pattern="^(reserved|issued|done|void|revoked)$")] | None = None
    expires_after: Time | None = None
    expires_before: Time | None = None


class EventsQuery(Paged, frozen=True, forbid_unknown_fields=True):
    """Which lines of the audit."""

    event: Annotated[str, Meta(max_length=32)] = ""
    identity: Sha256 | None = None
    serial: Serial | None = None
    since: Time | None = None


class RefusalsQuery(Paged, frozen=True, forbid_unknown_fields=True):
    """Which refusals; at most one of cause, address, serial, key and identity."""

    kind: RefusalKind | None = None
    cause: Annotated[str, Meta(max_length=32)] = ""
    address: Annotated[str, Meta(max_length=64)] = ""
    serial: Serial | None = None
    key: Sha256 | None = None
    identity: Sha256 | None = None
    since: Time | None = None


class DenialsQuery(Paged, frozen=True, forbid_unknown_fields=True):
    """Which denials."""

    with_past: Annotated[bool, Meta(description="Those that were lifted as well.")] = False


class TalliesQuery(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Which counts."""

    kind: Annotated[str, Meta(pattern="^(connections|calls|auth-requests|handshakes|denied-calls)$")]
    since: Time | None = None
    until: Time | None = None
    step: Annotated[str, Meta(pattern="^(60|3600)$", description="Seconds of each step.")] = "3600"


class ApproveBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The certificate that may speak for the device from now on: itself, or the key of one that was refused."""

    certificate: Pem | None = None
    key: Sha256 | None = None


class Named(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Devices and certificates; each adds to the others."""

    identities: Annotated[list[IdentityText], Meta(max_length=500)] = []
    serials: Annotated[list[Serial], Meta(max_length=5000)] = []
    certificates: Annotated[list[Pem], Meta(max_length=500)] = []
    keys: Annotated[list[Sha256], Meta(max_length=5000)] = []
    batches: Annotated[list[Annotated[str, Meta(min_length=1, max_length=200)]], Meta(max_length=100)] = []
    issued_from: Annotated[Time | None, Meta(description="Together with issued_before.")] = None
    issued_before: Time | None = None
    issuer: Annotated[
        str, Meta(max_length=1000, description="A CA's RFC 4514 text: of serials and dates; alone, all it issued.")
    ] = ""
    unseen: Annotated[bool, Meta(description="With an issuer: only devices that were never let in.")] = False


class DenyBody(Named, frozen=True, forbid_unknown_fields=True):
    """What to deny, and why."""

    reason: RevocationReason = RevocationReason.UNSPECIFIED
    note: Short = ""
    until: Annotated[Time | None, Meta(description="In force before this time; null for good.")] = None
    close_connections: bool = False
    dry_run: bool = False


class RestoreBody(Named, frozen=True, forbid_unknown_fields=True):
    """What to let in again: denials by their numbers, or those that name exactly this."""

    numbers: Annotated[list[Annotated[int, Meta(ge=1, le=2**62)]], Meta(max_length=5000)] = []
    note: Short = ""


class WhyBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whom it is about: identity, name, serial, certificate in PEM, or the address it calls from."""

    about: Annotated[str, Meta(min_length=1, max_length=65_536)]


TokenName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]*$")]


class TokenBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A token to make."""

    name: TokenName
    scope: Scope = Scope.READ
    days: Annotated[int, Meta(ge=1, le=3650)] = 365


class TokenRevokeBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A token that shall let nobody in any more."""

    name: TokenName
