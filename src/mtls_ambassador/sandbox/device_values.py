"""Who a simulated device is, and what it gets back."""

import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from mtls_ambassador.pki.issue import Pair, PrivateKey
from mtls_ambassador.sandbox.device_errors import DeviceError, Failure, Step
from mtls_ambassador.sandbox.device_wire import ClientStyle


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """Who the device is and how it behaves."""

    url: str
    """Scheme, host and port of the gateway or server; `http://` works too, without a certificate."""
    identity: Mapping[str, object]
    ca_pem: bytes = b""
    """What the server's certificate must chain to, several PEM certificates if need be."""
    pair: Pair | None = None
    """The device certificate and its key; None presents no certificate."""
    chain_pem: bytes = b""
    """Intermediates sent after the device certificate. Only the Go client sends them."""
    auth_key: PrivateKey | None = None
    """The key that signs auth requests; None means the certificate's."""
    tenant_token: str = ""
    style: ClientStyle = ClientStyle.GO
    device_type: str = "simulated"
    artifact_name: str = "release-1"
    server_hostname: str = ""
    """Name for SNI and the certificate check, when it is not the host of `url`; a CN without SAN is accepted."""
    check_hostname: bool = True
    """False only to try out a server certificate that does not carry the address dialled."""
    tls_minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    tls_maximum: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
    reauthorize: bool = True
    """After a 401, authorize and try once more, as both clients do."""
    timeout: float = 60
    """Seconds for connecting, and for each wait for bytes; not for a whole download."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; of a repeated header the last."""
    body: bytes

    def json(self) -> object:
        """The body parsed as JSON; raises ValueError when it is not."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Deployment:
    """What `next` offers: an artifact and where to fetch it."""

    id: str
    artifact_name: str
    uri: str
    device_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Download:
    """What a download brought; the bytes themselves went to the sink or nowhere."""

    status: int
    size: int
    sha256: str
    content_range: str


def read_deployment(answer: Answer) -> Deployment:
    """The deployment of an answer to `next`; raises DeviceError when it has another form."""
    try:
        fields = json.loads(answer.body)
        artifact = fields["artifact"]
        types = tuple(artifact["device_types_compatible"])
        return Deployment(fields["id"], artifact["artifact_name"], artifact["source"]["uri"], types)
    except (ValueError, KeyError, TypeError) as error:
        raise DeviceError(
            Step.POLL, Failure.HTTP, "the next deployment has an unknown form", status=answer.status
        ) from error
