"""Settings of Mender's gateways that this one does not have, and what setting them leads to.

Fails closed: where ignoring a setting would let in what its owner wanted out, the gateway does not start.
"""

from dataclasses import dataclass

from mtls_ambassador.settings.parse import parse_bool


@dataclass(frozen=True, slots=True)
class Foreign:
    """A setting known by name only. `when` is the value that matters: None for any, else that truth value."""

    names: tuple[str, ...]
    json: str = ""
    when: bool | None = None
    warning: str = ""
    fault: str = ""

    def matters(self, text: str) -> bool:
        """Whether the text asks for what we lack; a switch that cannot be read as true or false does."""
        if self.when is None:
            return True
        try:
            return parse_bool(text) is self.when
        except ValueError:
            return True


FOREIGN = (
    Foreign(
        ("HTTPS_ENABLED",),
        "HTTPS.Enabled",
        when=False,
        fault="the mutual TLS listener is all this gateway has; set it to true or unset it",
    ),
    Foreign(
        ("MTLS_ENABLED",),
        "Features.mTLS.Enabled",
        when=False,
        warning="mutual TLS is always on here: devices without a certificate are refused",
    ),
    Foreign(
        ("MTLS_ENABLE_CACHE",),
        when=False,
        warning="accepted devices are always remembered here",
    ),
    Foreign(
        ("HTTP_ENABLED",),
        "HTTP.Enabled",
        when=True,
        warning="there is no plain HTTP listener here; devices use the mutual TLS one, health checks the admin one",
    ),
    Foreign(
        ("METRICS_ENABLED",),
        "Metrics.Enabled",
        when=False,
        warning="metrics stay on: they are part of the admin listener, which is always open",
    ),
    Foreign(
        ("ARTIFACTS_PROXY_ENABLED",),
        "Features.ArtifactsProxy.Enabled",
        when=True,
        warning="artifacts are not proxied here: devices download them from the storage host, and must reach it",
    ),
    Foreign(
        ("ARTIFACTS_PROXY_CACHE_ENABLED",),
        "Features.ArtifactsProxy.ArtifactsCache.Enabled",
        when=True,
        warning="artifacts are not cached here: each device downloads its own from the storage host",
    ),
    Foreign(
        ("DEVICE_SYSTEM_ENABLED",),
        "Features.DeviceSystem.Enabled",
        when=True,
        warning="inventory is forwarded as it is: no system id or default attribute is added here",
    ),
    Foreign(
        ("HTTPS_PROXY", "HTTP_PROXY"),
        warning="the Mender server is connected to directly, not through this proxy",
    ),
)

SILENT_JSON = frozenset(
    {
        "HTTP.Listen",
        "Features.ArtifactsProxy.GatewayURL",
        "Features.ArtifactsProxy.DomainWhitelist",
        "Features.ArtifactsProxy.ArtifactsCache.Path",
        "Features.ArtifactsProxy.ArtifactsCache.SignatureSecret",
        "Features.ArtifactsProxy.ArtifactsCache.LinkExpireDuration",
        "Features.DeviceSystem.SystemID",
        "Features.DeviceSystem.DefaultInventory",
    }
)
"""Details of features we lack: the feature's own switch is what is warned about."""
