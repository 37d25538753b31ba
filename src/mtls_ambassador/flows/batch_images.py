"""Devices of a batch as images, or as patches to the golden image: what a worker does for each of them."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from mtls_ambassador.flows.batch_files import DeviceFiles, Found
from mtls_ambassador.flows.batch_outlet import Outlet, refuse_strangers, sync_all
from mtls_ambassador.flows.batch_workers import Delivered
from mtls_ambassador.flows.edit_image import Edit
from mtls_ambassador.image.blocks import Blocks
from mtls_ambassador.image.bmap import updated_bmap
from mtls_ambassador.image.digest import Sha256Alike, sha256_of
from mtls_ambassador.image.image import Image
from mtls_ambassador.image.layout import Roles
from mtls_ambassador.image.overlay import Overlay, RawFile, laid_over
from mtls_ambassador.image.patch import SUFFIX, Patch, decode_patch, patch_blocks
from mtls_ambassador.image.template import PRIVATE, Facts, Rule
from mtls_ambassador.model.errors import AmbassadorError

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
BMAP = ".bmap"


class Form(StrEnum):
    """What each device gets."""

    PATCH = "patch"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class NewImages:
    """All a worker needs; sent to it by pipe."""

    golden: str
    """A path at which the golden image can be opened."""
    name: str
    """What it is called in messages."""
    golden_sha256: bytes
    golden_size: int
    """Bytes."""
    common: Blocks = field(repr=False)
    """Changes that are the same for all devices."""
    rules: tuple[Rule, ...] = field(repr=False)
    """Files that each device has its own of."""
    roles: Roles | None
    now: int
    """The time of what changes."""
    out: Path
    form: Form
    suffix: str
    """Of the devices' files."""
    bmap: str | None = field(default=None, repr=False)
    """The block map of the golden image with what is common in it, for the map of each whole image."""

    def __call__(self) -> "ImageDeliverer":
        """In the worker."""
        return ImageDeliverer(self)


class ImageDeliverer:
    """Makes devices' images in memory, checks them, and writes them or their patches."""

    def __init__(self, wanted: NewImages) -> None:
        self._wanted = wanted
        self._raw = RawFile(os.open(wanted.golden, os.O_RDONLY | os.O_CLOEXEC))
        self._base = laid_over(self._raw, wanted.common)
        self._image = Image(self._base, wanted.name, wanted.now, wanted.roles)
        self._out = os.open(wanted.out, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._sound: set[bytes] = set()
        self._digest = Sha256Alike()

    def deliver(self, devices: list[DeviceFiles]) -> Delivered:
        """Write them out."""
        write = self._write_patch if self._wanted.form is Form.PATCH else self._write_image
        return Delivered(images=tuple(write(device, self._own_blocks(device)) for device in devices))

    def _own_blocks(self, device: DeviceFiles) -> dict[int, bytes]:
        """The blocks that this device has its own of."""
        own = device.serial, device.key, device.certificate, device.device_type, device.identity
        facts = Facts(device.name, *own)
        with self._image.again(self._base) as image:
            edit = Edit(image)
            for rule in self._wanted.rules:
                content = rule.content(facts)
                if content is not None:
                    put_rule(edit, rule, content, self._wanted.now)
            places = edit.content_places()
            edit.flush()
            blocks = patch_blocks(image.overlay)
            self._check(edit, image.overlay, blocks, places)
        return blocks

    def _check(self, edit: Edit, seen: Overlay, blocks: Blocks, places: dict[int, bytes]) -> None:
        """Check the file systems and read everything back; once for all devices that differ in contents alone.

        What e2fsck looks at is the same, byte for byte, for two devices whose blocks are the same with the contents of
        the files left out: so it is looked at once, and of the others the contents are read back where they must be.
        """
        shape = hashlib.sha256(_without(blocks, places)).digest()
        if shape not in self._sound:
            edit.verify(seen)
            self._sound.add(shape)
        for offset, content in places.items():
            if seen.read(offset, len(content)) != content:
                raise AmbassadorError(f"{self._wanted.name}: byte {offset} reads back other than it was written")

    def _write_patch(self, device: DeviceFiles, blocks: dict[int, bytes]) -> bytes:
        wanted = self._wanted
        together = {**wanted.common, **blocks}
        patch = Patch(device.name, wanted.golden_sha256, self._raw.size, device.certificate_sha256, together)
        data = patch.encoded()
        name = f"{device.name}{wanted.suffix}"
        file = self._create(name)
        try:
            _refuse_short(os.write(file, data), data, name)
        except OSError as error:
            raise AmbassadorError(f"{name}: {error.strerror}") from error
        finally:
            os.close(file)
        return hashlib.sha256(data).digest()

    def _write_image(self, device: DeviceFiles, blocks: dict[int, bytes]) -> bytes:
        name = f"{device.name}{self._wanted.suffix}"
        staged = f".{name}.part"
        file = self._create(staged)
        try:
            self._raw.clone_to(file)
            for offset, block in {**self._wanted.common, **blocks}.items():
                _refuse_short(os.pwrite(file, block, offset), block, name)
            digest = self._digest.of(RawFile(file), min(blocks, default=0))
            if self._wanted.bmap is not None:
                self._write_bmap(f"{name}{BMAP}", updated_bmap(self._wanted.bmap, self._base, blocks))
            os.rename(staged, name, src_dir_fd=self._out, dst_dir_fd=self._out)
        except OSError as error:
            raise AmbassadorError(f"{name}: {error.strerror}") from error
        finally:
            os.close(file)
        return digest

    def _write_bmap(self, name: str, text: str) -> None:
        file, data = self._create(name), text.encode()
        try:
            _refuse_short(os.write(file, data), data, name)
        finally:
            os.close(file)

    def _create(self, name: str) -> int:
        try:
            return os.open(name, _NEW, PRIVATE, dir_fd=self._out)
        except FileExistsError:
            raise AmbassadorError(f"{name}: is there already and is not overwritten") from None
        except OSError as error:
            raise AmbassadorError(f"{name}: {error.strerror}") from error


def put_rule(edit: Edit, rule: Rule, content: bytes, now: int) -> None:
    """Put a rule's file wherever its path stands for, with what the template or the file there says of permissions."""
    for place in edit.image.places(rule.path):
        before = edit.image.system(place.volume).entry(place.path)
        edit.put_at(place, content, rule.attributes(before, now), parents=True)


def _refuse_short(written: int, data: bytes, name: str) -> None:
    """The hash of a file is of what is in it, so that a part would count as right."""
    if written != len(data):
        raise AmbassadorError(f"{name}: not written whole; is the disk full?")


def _without(blocks: Blocks, places: dict[int, bytes]) -> bytes:
    """The blocks with these contents left out, and where they were."""
    left = {offset: bytearray(block) for offset, block in blocks.items()}
    for start, content in places.items():
        for offset, block in left.items():
            begin, end = max(start, offset), min(start + len(content), offset + len(block))
            if begin < end:
                block[begin - offset : end - offset] = bytes(end - begin)
    return repr(sorted(places)).encode() + b"".join(b"%d " % offset + bytes(block) for offset, block in left.items())


class ImageOutlet(Outlet):
    """Images or patches in one folder."""

    def __init__(self, wanted: NewImages, facts: Mapping[str, str]) -> None:
        self._wanted = wanted
        self.new_deliverer = wanted
        own = {"golden_sha256": wanted.golden_sha256.hex(), "form": wanted.form.value, "suffix": wanted.suffix}
        self.facts = {**facts, **own}
        self.lot, self.barrier = (64, 2048) if wanted.form is Form.PATCH else (1, 16)

    def file_of(self, name: str) -> str:
        """The device's file."""
        return f"{name}{self._wanted.suffix}"

    def refuse_strangers(self) -> None:
        """A new batch goes into an empty folder."""
        refuse_strangers(self._wanted.out)

    def look(self, name: str, fingerprint: bytes, spki_sha256: bytes) -> tuple[Found, bytes | None]:
        """A patch shows by its checksum whether it is whole. An image is taken for a part: reading it costs as much."""
        del spki_sha256
        path = self._wanted.out / self.file_of(name)
        if self._wanted.form is Form.FULL or not path.exists():
            return Found.PART, None
        data = path.read_bytes()
        try:
            patch = decode_patch(data, path.name)
        except AmbassadorError:
            return Found.PART, None
        is_own = (patch.certificate_sha256, patch.golden_sha256) == (fingerprint, self._wanted.golden_sha256)
        return (Found.WHOLE, hashlib.sha256(data).digest()) if is_own else (Found.OTHER, None)

    def compare(self, name: str, sha256: bytes, *, wholly: bool) -> Found:
        """A patch is read. Of an image the size must do unless `wholly`: to read a whole order of them takes hours."""
        path = self._wanted.out / self.file_of(name)
        try:
            file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return Found.PART
        except OSError as error:
            raise AmbassadorError(f"{path}: {error.strerror}") from error
        try:
            image = RawFile(file)
            is_measured = self._wanted.form is Form.FULL and not wholly
            is_same = image.size == self._wanted.golden_size if is_measured else sha256_of(image) == sha256
        finally:
            os.close(file)
        return Found.WHOLE if is_same else Found.OTHER

    def remove_part(self, name: str) -> None:
        """Take away the device's file."""
        file = self.file_of(name)
        for path in (self._wanted.out / name for name in (file, f".{file}.part", f"{file}{BMAP}")):
            path.unlink(missing_ok=True)

    def sync(self) -> None:
        """Wait for the disk, once for all files."""
        sync_all(self._wanted.out)


def image_suffix(golden: Path, form: Form) -> str:
    """What the devices' files end with: as the golden image does, less what says that it is compressed."""
    if form is Form.PATCH:
        return SUFFIX
    bare = golden.name
    for packed in (".gz", ".xz", ".zst", ".bz2", ".zip"):
        bare = bare.removesuffix(packed)
    return Path(bare).suffix or ".img"
