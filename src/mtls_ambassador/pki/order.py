"""An order: which devices a batch makes, counted here, or read from CSV by `order_csv`."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from mtls_ambassador.model.errors import FaultsError

MAX_ROWS = 10_000_000
RESERVED_NAMES = {"manifest.jsonl", "manifest.jsonl.sig"}
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,62}[A-Za-z0-9])?")
_PLACE = re.compile(r"\{n(?::(0[1-9]|[1-9][0-9]?))?\}")


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One device ordered."""

    name: str
    subject: tuple[tuple[str, str], ...] = ()
    """Further fields of the certificate's subject: short name and value, in the order of the columns."""
    identity: tuple[tuple[str, str], ...] = ()
    """What the device calls itself, for the manifest and the image."""
    device_type: str = ""
    """Mender's, for the manifest and the image; empty when the order does not say it."""


class Order(Protocol):
    """Devices to be made, the same ones in the same sequence each time `rows` is called."""

    @property
    def quantity(self) -> int:
        """How many devices are ordered: never one more is made."""

    @property
    def digest(self) -> bytes:
        """SHA-256 that names this order: of the file's bytes, or of what was said to count."""

    def rows(self) -> Iterator[OrderRow]:
        """Each device, one at a time: memory does not grow with the order."""


@dataclass(frozen=True, slots=True)
class CountedOrder:
    """Devices numbered from `first`, named by a template such as `dev-{n:06}`."""

    quantity: int
    template: str
    first: int = 1

    @property
    def digest(self) -> bytes:
        """Of count, first number and template."""
        return hashlib.sha256(f"count={self.quantity} first={self.first} name={self.template}".encode()).digest()

    def name_of(self, number: int) -> str:
        """The name with this number in it."""
        return _PLACE.sub(lambda found: f"{number:{found[1] or ''}}", self.template)

    def rows(self) -> Iterator[OrderRow]:
        """Each device."""
        for number in range(self.first, self.first + self.quantity):
            yield OrderRow(self.name_of(number))


def counted_order(count: int, template: str, first: int = 1) -> CountedOrder:
    """`count` devices named by `template`. Raises FaultsError unless every name is different and good."""
    faults = []
    if not 1 <= count <= MAX_ROWS:
        faults.append(f"--count {count}: must be 1 to {MAX_ROWS}")
    if first < 0:
        faults.append(f"--first {first}: must not be negative")
    if len(_PLACE.findall(template)) != 1 or "{" in _PLACE.sub("", template):
        faults.append(f"--name {template!r}: must have one place for the number, such as 'dev-{{n:06}}'")
    if faults:
        raise FaultsError(faults)
    order = CountedOrder(count, template, first)
    # Names of the same length differ in digits alone, so the longest and the shortest speak for all.
    for number in (first, first + count - 1):
        if fault := name_fault(order.name_of(number)):
            raise FaultsError([f"--name {template!r}: {fault}"])
    return order


def name_fault(name: str) -> str | None:
    """What is wrong with a device's name, or None."""
    if not name:
        return "no name"
    if not _NAME.fullmatch(name):
        return (
            f"name {name!r} must be 1 to 64 ASCII letters, digits and . _ : - with a letter or digit at both ends:"
            " it is a folder and the certificate's common name"
        )
    if name.lower() in RESERVED_NAMES:
        return f"name {name!r} is the name of a file the batch makes"
    return None
