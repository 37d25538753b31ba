"""Edits of images as dictionaries do them; an image must then be the same, to all readers."""

import hashlib
import os
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from mtls_ambassador.flows.edit_image import FOLDER_MODE, Edit, edit_image
from mtls_ambassador.image.entry import Attributes, Kind, Parts
from mtls_ambassador.image.image import ANY, Selector
from mtls_ambassador.model.errors import AmbassadorError
from support.image_readers import Seen, Tree, assert_agreed
from support.images import check_ext

NOW = 1_700_000_000


class RefusedError(Exception):
    """The image must refuse it as well."""


class Modelling(Protocol):
    """A model. Each of its functions raises RefusedError for what an image must refuse as well."""

    def put(self, path: str, content: bytes, attributes: Attributes, *, parents: bool = False) -> None: ...

    def make_folder(self, path: str, attributes: Attributes) -> None: ...

    def remove(self, path: str, *, recursive: bool = False) -> None: ...


@dataclass(frozen=True, slots=True)
class Change:
    """The same to a model, which may refuse it, and to an image, which must refuse just that."""

    to_model: Callable[[Modelling], None]
    to_image: Callable[[Edit], None]

    def make(self, model: Modelling, edit: Edit) -> None:
        try:
            self.to_model(model)
        except RefusedError:
            with pytest.raises(AmbassadorError):
                self.to_image(edit)
            raise
        self.to_image(edit)


class Model:
    """What is in ext2, ext3 or ext4. Paths are texts from its root, bytes that are no UTF-8 surrogate escapes."""

    def __init__(self, tree: Tree) -> None:
        self.tree = dict(tree)

    def put(self, path: str, content: bytes, attributes: Attributes, *, parents: bool = False) -> None:
        name = os.fsencode(path)
        if parents:
            self._make_above(name, attributes.mtime)
        self._touch_above(name)
        if name in self.tree and self.tree[name].kind is Kind.FOLDER:
            raise RefusedError
        self.tree[name] = Seen(Kind.FILE, *_seen(attributes), content)

    def make_folder(self, path: str, attributes: Attributes) -> None:
        name = os.fsencode(path)
        self._make_above(name, attributes.mtime)
        self._make(name, attributes)

    def remove(self, path: str, *, recursive: bool = False) -> None:
        name = os.fsencode(path)
        below = [other for other in self.tree if other.startswith(name + b"/")]
        if name not in self.tree or (below and not recursive):
            raise RefusedError
        for gone in [name, *below]:
            del self.tree[gone]
        self._touch_above(name)

    def _make_above(self, name: bytes, mtime: int) -> None:
        parts = name.split(b"/")[:-1]
        for depth in range(1, len(parts) + 1):
            self._make(b"/".join(parts[:depth]), Attributes(FOLDER_MODE, 0, 0, mtime))

    def _make(self, name: bytes, attributes: Attributes) -> None:
        if name not in self.tree:
            self._touch_above(name)
            self.tree[name] = Seen(Kind.FOLDER, *_seen(attributes))
        elif self.tree[name].kind is not Kind.FOLDER:
            raise RefusedError

    def _touch_above(self, name: bytes) -> None:
        above, slash, _ = name.rpartition(b"/")
        if not slash:
            return
        if above not in self.tree or self.tree[above].kind is not Kind.FOLDER:
            raise RefusedError
        self.tree[above] = replace(self.tree[above], mtime=NOW)


def _seen(attributes: Attributes) -> tuple[int, int, int, int]:
    return attributes.mode, attributes.uid, attributes.gid, attributes.mtime


def parts(path: str) -> Parts:
    """A path of a model, for the code under test."""
    return tuple(path.split("/"))


def put(path: str, content: bytes, attributes: Attributes, *, parents: bool = False) -> Change:
    return Change(
        lambda model: model.put(path, content, attributes, parents=parents),
        lambda edit: edit.put_file(parts(path), content, attributes, parents=parents),
    )


def make_folder(path: str, attributes: Attributes) -> Change:
    return Change(
        lambda model: model.make_folder(path, attributes), lambda edit: edit.make_folder(parts(path), attributes)
    )


def remove(path: str, *, recursive: bool = False) -> Change:
    return Change(
        lambda model: model.remove(path, recursive=recursive),
        lambda edit: edit.remove(parts(path), recursive=recursive),
    )


class Modelled:
    """An image of one file system, or a partition in one, with what must be in it."""

    def __init__(self, image: Path, offset: int = 0, selector: Selector = ANY) -> None:
        self.image, self._offset, self._selector = image, offset, selector
        check_ext(image, offset)
        self.model = Model(assert_agreed(image, offset, selector))

    def edit(self, *changes: Change) -> None:
        """Make all in one edit; the file system is then sound."""
        make_all(self.image, self.model, changes, self._selector)
        check_ext(self.image, self._offset)

    def edit_or_refuse(self, *changes: Change) -> None:
        """The same; or when the model refuses one of them, nothing is changed at all."""
        self.model = make_all_or_none(self.image, self.model, changes)
        check_ext(self.image, self._offset)

    def check(self) -> None:
        """Everything is as the model says, to all readers, down to mode, owner and time."""
        seen = assert_agreed(self.image, self._offset, self._selector)
        differ = {
            path: (seen.get(path), self.model.tree.get(path))
            for path in seen.keys() | self.model.tree.keys()
            if seen.get(path) != self.model.tree.get(path)
        }
        assert not differ


def make_all(image: Path, model: Modelling, changes: Sequence[Change], selector: Selector = ANY) -> None:
    """Make changes in one edit, of the image as of its model. Raises RefusedError when both refuse one."""

    def make(edit: Edit) -> None:
        for change in changes:
            change.make(model, edit)

    edit_image(image, selector, NOW, make)


AModel = TypeVar("AModel", bound=Modelling)


def make_all_or_none(image: Path, model: AModel, changes: Sequence[Change]) -> AModel:
    """Make changes in one edit, unless one is refused; returns what the model is then."""
    before, changed = digest(image), deepcopy(model)
    try:
        make_all(image, changed, changes)
    except RefusedError:
        assert digest(image) == before
        return model
    return changed


def digest(image: Path) -> str:
    """Of an image's bytes."""
    with image.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
