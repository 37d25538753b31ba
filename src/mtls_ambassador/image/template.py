"""What goes where in each device's image. Pure."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from mtls_ambassador.image.entry import Attributes, Entry, Kind, Parts, text
from mtls_ambassador.image.layout import Roles
from mtls_ambassador.model.errors import AmbassadorError, FaultsError

PLACE = re.compile(r"\{\{|\}\}|\{(name|serial|device_type|identity(?:\.[^{}\s=]+)?)\}|([{}])")
"""In a text: a brace written twice, a place of a device (group 1), or a brace that means nothing (group 2)."""

PRIVATE = 0o600


class Source(StrEnum):
    """What a file holds that is not written in the template."""

    KEY = "key"
    CERTIFICATE = "certificate"
    SERVER_CA = "server-ca"
    """The certificates by which the device knows the gateway."""
    CONFIGURATION = "mender.conf"
    """The file of the image, with this server and this certificate put in."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of one device."""

    name: str
    serial: str
    """Of its certificate, in hexadecimal."""
    key: bytes = field(repr=False)
    certificate: bytes
    device_type: str = ""
    identity: tuple[tuple[str, str], ...] = ()

    def value(self, place: str) -> str:
        """What stands for `{place}`; empty when it is not known."""
        if place == "identity":
            return "".join(f"{key}={value}\n" for key, value in self.identity)
        if place.startswith("identity."):
            return dict(self.identity).get(place.removeprefix("identity."), "")
        return {"name": self.name, "serial": self.serial, "device_type": self.device_type}[place]


@dataclass(frozen=True, slots=True)
class Rule:
    """One file."""

    path: Parts
    source: Source | None = None
    text: str = ""
    """With places such as {name}; when there is no source."""
    fixed: bytes | None = field(default=None, repr=False)
    """The same for all devices, when there is neither source nor text."""
    mode: int | None = None
    """None: as in the image, or 0600 where the file is not in it."""
    uid: int | None = None
    """None: root; without a mode as in the image."""
    gid: int | None = None
    """The same."""
    is_optional: bool = False
    """Left out for a device of which not all is known that the text needs."""

    @property
    def places(self) -> list[str]:
        """What of a device the text needs."""
        return [found[1] for found in PLACE.finditer(self.text) if found[1]]

    @property
    def is_own(self) -> bool:
        """Whether each device's file is another one."""
        return self.source in {Source.KEY, Source.CERTIFICATE} or bool(self.places)

    def attributes(self, before: Entry | None, now: int) -> Attributes:
        """Of the file that is put where `before` is. A private key gets from the image nothing looser than 0600."""
        mode, uid, gid = PRIVATE, 0, 0
        if self.mode is not None:
            mode = self.mode
        elif before is not None and before.kind is Kind.FILE:
            mode, uid, gid = before.mode, before.uid, before.gid
            if self.source is Source.KEY:
                mode &= PRIVATE
        return Attributes(mode, uid if self.uid is None else self.uid, gid if self.gid is None else self.gid, now)

    def content(self, device: Facts) -> bytes | None:
        """What the device's file holds; None when it gets none. Raises AmbassadorError when something is not known."""
        if self.source is Source.KEY:
            return device.key
        if self.source is Source.CERTIFICATE:
            return device.certificate
        if self.fixed is not None:
            return self.fixed
        for place in self.places:
            if not device.value(place):
                if self.is_optional:
                    return None
                raise AmbassadorError(f"{device.name}: has no {place}, which {text(self.path)} needs")
        return self.filled(device.value)

    def filled(self, value: Callable[[str], str]) -> bytes:
        """The text with its places filled."""
        braces = {"{{": "{", "}}": "}"}
        return PLACE.sub(lambda found: braces.get(found[0]) or value(found[1]), self.text).encode()


@dataclass(frozen=True, slots=True)
class Template:
    """All files, and which partition plays which part if the image does not say so itself."""

    rules: tuple[Rule, ...]
    roles: Roles | None = None

    def path_of(self, source: Source) -> str | None:
        """Where on the device the file is that holds this."""
        return next((text(rule.path) for rule in self.rules if rule.source is source), None)


DEFAULT = Template(
    (
        Rule(("data", "mender", "mender-cert-private.pem"), Source.KEY, mode=0o600),
        Rule(("data", "mender", "mender-cert.pem"), Source.CERTIFICATE, mode=0o644),
        Rule(("etc", "mender", "trust.pem"), Source.SERVER_CA, mode=0o644),
        Rule(("etc", "mender", "mender.conf"), Source.CONFIGURATION),
        Rule(("data", "mender", "device_type"), text="device_type={device_type}\n", mode=0o644, is_optional=True),
        Rule(("data", "mender", "identity"), text="{identity}", mode=0o644, is_optional=True),
    )
)
"""The paths of Mender's page "Client certificates"; `device_type` is where Mender's clients look for it."""


def check_order(template: Template, devices: Iterable[Facts], most: int = 20) -> None:
    """Raises FaultsError with the first devices of which not all is known that the template needs."""
    faults: list[str] = []
    if not any(rule.places and not rule.is_optional for rule in template.rules):
        return
    for device in devices:
        for rule in template.rules:
            try:
                rule.content(device)
            except AmbassadorError as error:
                faults.append(str(error))
        if len(faults) >= most:
            break
    if faults:
        raise FaultsError(faults)
