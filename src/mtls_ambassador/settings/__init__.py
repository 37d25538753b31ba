"""Every setting once: declared in `table`, read by `load` from environment and files, held in one frozen `Settings`."""

from mtls_ambassador.settings.values import (
    BindingMode,
    Collector,
    IdentityBinding,
    KeyBinding,
    Limits,
    Listen,
    LogFormat,
    Secret,
    Settings,
    StoreSettings,
    TlsVersion,
    Upstream,
)

__all__ = [
    "BindingMode",
    "Collector",
    "IdentityBinding",
    "KeyBinding",
    "Limits",
    "Listen",
    "LogFormat",
    "Secret",
    "Settings",
    "StoreSettings",
    "TlsVersion",
    "Upstream",
]
