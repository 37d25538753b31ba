"""Images for devices: what is the same for all is put into the golden image's picture once; the rest is the batch's."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mtls_ambassador.flows.batch_images import Form, ImageOutlet, NewImages, image_suffix, put_rule
from mtls_ambassador.flows.edit_image import Edit, UnsoundError
from mtls_ambassador.flows.golden_image import golden_sha256
from mtls_ambassador.image.blocks import Blocks
from mtls_ambassador.image.bmap_file import new_bmap
from mtls_ambassador.image.container import opened
from mtls_ambassador.image.entry import Kind, text
from mtls_ambassador.image.image import Image
from mtls_ambassador.image.overlay import Overlay, RawFile
from mtls_ambassador.image.patch import patch_blocks
from mtls_ambassador.image.progress import Progress
from mtls_ambassador.image.superblock import Fat
from mtls_ambassador.image.template import Facts, Rule, Source, Template, check_order
from mtls_ambassador.image.tree import Place
from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.pki.mender_conf import merge
from mtls_ambassador.pki.order import Order


@dataclass(frozen=True, slots=True)
class Plan:
    """What every device's image shall hold."""

    template: Template
    server_url: str | None
    """The gateway's; None only when the template has no mender.conf."""
    server_ca: bytes | None = field(repr=False)
    """PEM certificates the device checks the gateway with; None: those its system has."""
    form: Form
    now: int
    """The time of what changes."""

    @property
    def facts(self) -> dict[str, str]:
        """What makes the images other ones when it changes."""
        files = tuple(rule.fixed for rule in self.template.rules)  # which no rule shows
        said = repr((self.template, files, self.server_url, self.server_ca)).encode()
        return {"images": hashlib.sha256(said).hexdigest()}


@contextmanager
def image_outlet(golden: Path, plan: Plan, order: Order, out: Path, on_progress: Progress) -> Iterator[ImageOutlet]:
    """Open and prepare the golden image; it is only read.

    Raises AmbassadorError when the files cannot be put into it, or the order does not say all that they need.
    """
    rows = order.rows()
    check_order(plan.template, (Facts(row.name, "0", b"", b"", row.device_type, row.identity) for row in rows))
    with opened(golden, to_write=False, on_progress=on_progress) as container:
        raw = RawFile(container.descriptor)
        common = common_blocks(raw, str(golden), plan)
        wanted = NewImages(
            # By this process, so that what is unpacked and has no name can be opened by the workers too.
            golden=f"/proc/{os.getpid()}/fd/{container.descriptor}",
            name=str(golden),
            golden_sha256=golden_sha256(container, on_progress),
            golden_size=raw.size,
            common=common,
            rules=tuple(rule for rule in plan.template.rules if rule.is_own),
            roles=plan.template.roles,
            now=plan.now,
            out=out,
            form=plan.form,
            suffix=image_suffix(golden, plan.form),
            bmap=_bmap(golden, raw, common) if plan.form is Form.FULL else None,
        )
        yield ImageOutlet(wanted, plan.facts)


def _bmap(golden: Path, raw: RawFile, common: Blocks) -> str | None:
    new = new_bmap(golden, raw, common, ())
    return None if new is None else new.new


def common_blocks(raw: RawFile, name: str, plan: Plan) -> Blocks:
    """The blocks that change alike for every device: mender.conf, the CA, and what else is no device's own."""
    with Image(Overlay(raw), name, plan.now, plan.template.roles) as image:
        edit = Edit(image)
        _refuse_places(image, plan.template.rules)
        for rule in plan.template.rules:
            if rule.source is Source.CONFIGURATION:
                _put_configuration(edit, rule, plan)
            elif not rule.is_own and (content := _common_content(rule, plan)) is not None:
                put_rule(edit, rule, content, plan.now)
        edit.flush()
        blocks = patch_blocks(image.overlay)
        try:
            edit.verify(image.overlay)
        except UnsoundError as error:
            raise AmbassadorError(f"{name}: {error}; repair it first, see docs/factory/images.md") from error
    return blocks


def _refuse_places(image: Image, rules: Sequence[Rule]) -> None:
    """Before anything is put: a link to be replaced could still lead two paths to one file."""
    taken: dict[Place, Rule] = {}
    for rule in rules:
        for place in image.places(rule.path):
            _refuse_place(image, rule, place)
            other = taken.setdefault(_alike(place), rule)
            if other is not rule:
                raise AmbassadorError(
                    f"{image.name}:{text(rule.path)} and {text(other.path)} are the same file in this image"
                    f" ({image.at(place)}): one would overwrite the other; each needs a place of its own"
                )


def _alike(place: Place) -> Place:
    """The same for all names that FAT takes for one."""
    if isinstance(place.volume.system, Fat):
        return Place(place.volume, tuple(name.casefold() for name in place.path))
    return place


def _refuse_place(image: Image, rule: Rule, place: Place) -> None:
    if rule.source is Source.KEY and isinstance(place.volume.system, Fat):
        raise AmbassadorError(
            f"{image.name}:{text(rule.path)} is on FAT, which keeps no permissions: every user of the device could"
            " read its private key"
        )
    entry = image.system(place.volume).entry(place.path)
    if entry is not None and entry.kind is Kind.FOLDER:
        raise AmbassadorError(f"{image.name}:{text(rule.path)} is a folder, and shall be a file")


def _common_content(rule: Rule, plan: Plan) -> bytes | None:
    if rule.source is Source.SERVER_CA:
        return plan.server_ca
    return rule.filled(lambda place: place) if rule.fixed is None else rule.fixed


def _put_configuration(edit: Edit, rule: Rule, plan: Plan) -> None:
    """mender.conf of each root file system, with all that it says already."""
    if plan.server_url is None:
        raise UsageError("say --server-url https://HOST, the gateway's address, for mender.conf")
    certificate, key = plan.template.path_of(Source.CERTIFICATE), plan.template.path_of(Source.KEY)
    ca = plan.template.path_of(Source.SERVER_CA) if plan.server_ca is not None else None
    for place in edit.image.places(rule.path):
        system = edit.image.system(place.volume)
        entry = system.entry(place.path)
        before = None if entry is None else b"".join(system.chunks(place.path))
        source = f"{edit.image.name}:{text(rule.path)}"
        content = merge(
            _decoded(before, source),
            server_url=plan.server_url,
            certificate_path=certificate or "",
            key_path=key or "",
            server_certificate=ca,
            source=source,
        )
        edit.put_at(place, content.encode(), rule.attributes(entry, plan.now), parents=True)


def _decoded(content: bytes | None, source: str) -> str | None:
    try:
        return None if content is None else content.decode()
    except UnicodeDecodeError as error:
        raise AmbassadorError(f"{source}: is not UTF-8 text") from error
