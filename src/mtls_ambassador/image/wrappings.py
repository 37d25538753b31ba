"""Which way an image is packed, by a file's first bytes; its name says nothing."""

from mtls_ambassador.image.artifact import Artifact, is_artifact
from mtls_ambassador.image.compressed import Compressed
from mtls_ambassador.image.packing import packing_of
from mtls_ambassador.image.unpacked import Wrapping
from mtls_ambassador.image.zipped import MAGIC, Zipped


def wrapping_of(head: bytes) -> Wrapping | None:
    """The way; None when it is not packed. `head` is a block of 512 bytes."""
    if packing := packing_of(head):
        return Compressed(packing)
    if head.startswith(MAGIC):
        return Zipped()
    return Artifact() if is_artifact(head) else None
