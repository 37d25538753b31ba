"""Which way an image is packed, by a file's first bytes; its name says nothing."""

from typing import TYPE_CHECKING

from mtls_ambassador.image.artifact import Artifact, is_artifact
from mtls_ambassador.image.compressed import Compressed
from mtls_ambassador.image.packing import packing_of
from mtls_ambassador.image.zipped import MAGIC, Zipped
from mtls_ambassador.model.errors import AmbassadorError

if TYPE_CHECKING:
    from mtls_ambassador.image.unpacked import Wrapping

HEAD = 512
"""Bytes that tell."""
_ANDROID_SPARSE = b"\x3a\xff\x26\xed"


def wrapping_of(head: bytes) -> "Wrapping | None":
    """The way; None when it is not packed. `head` is the first `HEAD` bytes.

    Raises AmbassadorError for an Android sparse image, whose bytes are not where a disk has them.
    """
    if head.startswith(_ANDROID_SPARSE):
        raise AmbassadorError("is an Android sparse image; make a raw one first: simg2img IMAGE RAW")
    if packing := packing_of(head):
        return Compressed(packing)
    if head.startswith(MAGIC):
        return Zipped()
    return Artifact() if is_artifact(head) else None
