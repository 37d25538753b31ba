"""A device's patch: the blocks in which its image differs from the golden image all devices start from."""

import re
from dataclasses import dataclass, field
from typing import Any

from mtls_ambassador.image.blocks import decode, encode
from mtls_ambassador.image.overlay import PAGE, Overlay
from mtls_ambassador.model.errors import AmbassadorError

KIND = "mtls-ambassador patch 1"
SUFFIX = ".patch"
MAX_BYTES = 256 << 20
"""Of blocks in one patch, unpacked; what devices differ in is a few thousand."""
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch holds the device's private key: whoever has it is the device."""

    device: str
    golden_sha256: bytes
    golden_size: int
    """Bytes."""
    certificate_sha256: bytes
    """Of the device's certificate in DER."""
    blocks: dict[int, bytes] = field(repr=False)
    """By their offset in the image."""

    def encoded(self) -> bytes:
        """The bytes of the file. Raises AmbassadorError for more than MAX_BYTES."""
        facts = {
            "device": self.device,
            "golden_sha256": self.golden_sha256.hex(),
            "golden_size": self.golden_size,
            "certificate_sha256": self.certificate_sha256.hex(),
        }
        return encode(KIND, facts, self.blocks, MAX_BYTES)


def patch_blocks(seen: Overlay) -> dict[int, bytes]:
    """What a patch must hold of what was written: what differs, and zeros that were written where the image has a hole.

    Whoever copies an image by its block map, or only what is no hole, leaves there what the disk held before.
    """
    blocks = seen.changes()
    for offset in seen.written():
        if offset not in blocks and not any(seen.raw.extents(offset, PAGE)):
            blocks[offset] = seen.read(offset, min(PAGE, seen.size - offset))
    return blocks


def decode_patch(data: bytes, name: str) -> Patch:
    """Read it back. Fails closed: raises AmbassadorError for what is damaged, no patch, or reaches out of the image."""
    try:
        file = decode(KIND, data, name, MAX_BYTES)
    except AmbassadorError as error:
        raise AmbassadorError(f"{error}; take the patch from its order's folder again") from error
    try:
        patch = Patch(
            _text(file.facts["device"]),
            _hash(file.facts["golden_sha256"]),
            _number(file.facts["golden_size"]),
            _hash(file.facts["certificate_sha256"]),
            file.blocks,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise AmbassadorError(f"{name}: its head cannot be read: {error!r}") from error
    if any(offset + len(block) > patch.golden_size for offset, block in patch.blocks.items()):
        raise AmbassadorError(f"{name}: has blocks behind the end of its image")
    return patch


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    if not isinstance(value, str) or not value.isprintable():
        raise TypeError("not a text that can be printed")
    return value


def _number(value: Any) -> int:  # noqa: ANN401 - any JSON
    if type(value) is not int:
        raise TypeError("not a whole number")
    return value


def _hash(value: Any) -> bytes:  # noqa: ANN401 - any JSON
    if not _HASH.fullmatch(_text(value)):
        raise ValueError("not a SHA-256")
    return bytes.fromhex(value)
