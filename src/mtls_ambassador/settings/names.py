"""Which environment variables are ours; a mistyped one must not be ignored in silence."""

import re
from collections.abc import Mapping

from mtls_ambassador.settings.config_file import nearest
from mtls_ambassador.settings.foreign import FOREIGN
from mtls_ambassador.settings.table import SETTINGS

KNOWN_NAMES = frozenset(
    {name for setting in SETTINGS for name in (*setting.names, *setting.file_names)}
    | {name for item in FOREIGN for name in item.names}
)
_OTHERS = {
    "https_proxy",
    "MTLS_SANDBOX_PASSWORD",
    "MTLS_CA_PASSPHRASE",
    "MTLS_CA_PASSPHRASE_FILE",
    "MTLS_CA_PIN",
    "MTLS_CA_PIN_FILE",
    "MTLS_PKCS11_MODULE",
}
"""No settings: the lower-case proxy variable of other programs, and what `sandbox` and the `pki` commands read."""
_PREFIXES = ("MTLS_", "HTTPS_", "UPSTREAM_")
_SERVICE_LINK = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
"""What Kubernetes adds for each Service of the namespace; one named mtls-ambassador gives MTLS_AMBASSADOR_PORT."""


def unknown_names(environ: Mapping[str, str]) -> list[str]:
    """A warning for each variable that looks like a setting and is none; values are never shown."""
    return [
        f"{name} is not a setting and has no effect{nearest(name, KNOWN_NAMES)}"
        for name in sorted(environ)
        if name.upper().startswith(_PREFIXES)
        and name not in KNOWN_NAMES
        and name not in _OTHERS
        and not _SERVICE_LINK.fullmatch(name)
    ]
