"""One device's image, looked at for what an audit needs to know; secrets in it are compared and left there.

A device that started from root file system A sees other files than one that started from B, and is looked at as both.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from mtls_ambassador.image.entry import Entry, Kind, Parts, text
from mtls_ambassador.image.image import Image
from mtls_ambassador.image.layout import Volume
from mtls_ambassador.image.superblock import Ext, probe
from mtls_ambassador.image.template import DEFAULT, Source
from mtls_ambassador.image.tree import Place, Tree, parse_path
from mtls_ambassador.model.device_image import CertificateFacts, ClientConf, DeviceImage, KeyFacts, Leftover, RootFacts
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.client_conf import read_client_conf
from mtls_ambassador.pki.device_pem import Measure, authorities_fault, certificate_facts, key_spki_sha256, pem_labels

_CONF: Parts = ("etc", "mender", "mender.conf")
_STATE: Parts = ("data", "mender")
_MOST = 1 << 20
"""Bytes of a file that is read whole: keys, certificates and configurations are far smaller."""
_STORES = {"mender-store": "what Mender's client remembered, such as who it was: an old store", "authtoken": "a token"}
_AGENT_KEY = "mender-agent.pem"
_T = TypeVar("_T")


def image_facts(image: Image, name: str, measure: Measure) -> DeviceImage:
    """What is in it. What cannot be read is a fact too: nothing is raised."""
    try:
        return _facts(image, name, measure)
    except AmbassadorError as error:
        return DeviceImage(name, fault=str(error))


@dataclass(frozen=True, slots=True)
class _Spot:
    """A path, and where it leads."""

    path: str
    place: Place | None
    """None for what is no whole path, such as the URI of a key in a token."""


@dataclass(frozen=True, slots=True)
class _Named:
    """What a mender.conf names, as a device sees it that started from its root file system."""

    certificate: _Spot
    key: _Spot
    auth_key: _Spot
    server_ca: _Spot
    others: tuple[_Spot, ...]
    folders: tuple[_Spot, ...]
    """The client's, and those of keys and certificate."""

    @property
    def keys(self) -> tuple[_Spot, _Spot]:
        return self.key, self.auth_key

    @property
    def files(self) -> tuple[_Spot, ...]:
        return (self.certificate, *self.keys, self.server_ca, *self.others)


class _Reader:
    """Files of one image, each read once: the data partition is the same for A and B."""

    def __init__(self, image: Image) -> None:
        self._image = image
        self._contents: dict[Place, bytes] = {}
        self.volumes: dict[Volume, None] = {}
        """Those looked at, in that order."""

    def entry(self, place: Place | None) -> Entry | None:
        """What is there."""
        if place is None:
            return None
        self.volumes[place.volume] = None
        return self._image.system(place.volume).entry(place.path)

    def entries(self, folder: Place) -> list[Entry]:
        """What is in a folder; nothing when there is none."""
        entry = self.entry(folder)
        is_folder = entry is not None and entry.kind is Kind.FOLDER
        return self._image.system(folder.volume).entries(folder.path) if is_folder else []

    def file(self, place: Place | None) -> tuple[Entry, bytes] | None:
        """A file and its content; None when there is none. Raises AmbassadorError for a large one."""
        entry = self.entry(place)
        if place is None or entry is None or entry.kind is not Kind.FILE:
            return None
        if entry.size > _MOST:
            raise AmbassadorError(
                f"{text(place.path)}: has {entry.size} bytes, which is no key, certificate or setting"
            )
        if place not in self._contents:
            self._contents[place] = b"".join(self._image.system(place.volume).chunks(place.path))
        return entry, self._contents[place]

    def has_modes(self, place: Place | None) -> bool:
        """Whether its file system knows modes and owners, which FAT does not."""
        return place is not None and self._image.system(place.volume).type != "vfat"


def _facts(image: Image, name: str, measure: Measure) -> DeviceImage:
    if image.table.kind == "none" and image.volumes[0].system is None:
        raise AmbassadorError("is no image: there is neither a partition table in it nor a file system")
    reader, trees = _Reader(image), image.trees()
    confs = [_conf(reader, tree) for tree in trees]
    other = next((conf for conf, _ in confs if conf is not None), ClientConf())
    named = [_named(tree, conf or other) for tree, (conf, _) in zip(trees, confs, strict=True)]
    certificates = _each(lambda spot: _certificate(reader, spot, measure), (item.certificate for item in named))
    keys = _each(lambda spot: _key(reader, spot), (spot for item in named for spot in item.keys))
    authorities = _each(lambda spot: _server_ca_fault(reader, spot, measure), (item.server_ca for item in named))
    expected = {spot.place for item in named for spot in item.files}
    private = {spot.place for item in named for spot in item.keys}
    leftovers = _each(
        lambda spot: tuple(_leftovers(reader, spot, expected, private)),
        (spot for item in named for spot in item.folders),
    )
    roots = tuple(
        RootFacts(
            tree.root.where if tree.root else "",
            *conf,
            *certificates[item.certificate],
            *keys[item.key],
            *keys[item.auth_key],
            authorities[item.server_ca],
            tuple(found for folder in item.folders for found in leftovers[folder]),
        )
        for tree, conf, item in zip(trees, confs, named, strict=True)
    )
    return DeviceImage(name, roots, tuple(_volume_faults(image, reader.volumes)))


def _each(look: Callable[[_Spot], _T], spots: Iterable[_Spot]) -> dict[_Spot, _T]:
    """What is in each, looked at once."""
    return {spot: look(spot) for spot in dict.fromkeys(spots)}


def _conf(reader: _Reader, tree: Tree) -> tuple[ClientConf | None, str]:
    try:
        found = reader.file(tree.find(_CONF, follow_last=True))
        if found is None:
            return None, f"{text(_CONF)} is not there"
        return read_client_conf(found[1].decode(), text(_CONF)), ""
    except (AmbassadorError, UnicodeDecodeError) as error:
        return None, str(error)


def _named(tree: Tree, conf: ClientConf) -> _Named:
    certificate = _spot(tree, conf.certificate or DEFAULT.path_of(Source.CERTIFICATE) or "")
    key, auth_key = _spot(tree, conf.key or DEFAULT.path_of(Source.KEY) or ""), _spot(tree, conf.auth_key)
    others = []
    for path in conf.others:
        with suppress(AmbassadorError):  # where it leads matters only if that is in a folder looked at
            others.append(_spot(tree, path))
    folders = {_STATE, _CONF[:-1]}
    folders |= {parse_path(spot.path)[:-1] for spot in (certificate, key, auth_key) if spot.place is not None}
    places: dict[Place, _Spot] = {}
    for folder in sorted(folders):
        place = tree.find(folder, follow_last=True)
        places.setdefault(place, _Spot(text(folder), place))
    return _Named(certificate, key, auth_key, _spot(tree, conf.server_ca), tuple(others), tuple(places.values()))


def _spot(tree: Tree, path: str) -> _Spot:
    return _Spot(path, tree.find(parse_path(path), follow_last=True) if path.startswith("/") else None)


def _certificate(reader: _Reader, spot: _Spot, measure: Measure) -> tuple[CertificateFacts | None, str]:
    found = reader.file(spot.place)
    if found is None:
        return None, f"{spot.path} is not there"
    facts = certificate_facts(found[1], spot.path, measure)
    return facts, "" if facts else f"{spot.path}: no readable certificate"


def _key(reader: _Reader, spot: _Spot) -> tuple[KeyFacts | None, str]:
    """Nothing, and no fault, for a key that is not named or is in a token."""
    if not spot.path or spot.path.startswith("pkcs11:"):
        return None, ""
    found = reader.file(spot.place)
    if found is None:
        return None, f"{spot.path} is not there"
    entry, content = found
    spki_sha256, fault = key_spki_sha256(content)
    return KeyFacts(spot.path, spki_sha256, entry.mode, entry.uid, reader.has_modes(spot.place)), fault


def _server_ca_fault(reader: _Reader, spot: _Spot, measure: Measure) -> str:
    if not spot.path:
        return ""
    found = reader.file(spot.place)
    if found is None:
        return f"ServerCertificate names {spot.path}, which is not there"
    fault = authorities_fault(found[1], measure.now)
    return f"{spot.path}: {fault}" if fault else ""


def _leftovers(
    reader: _Reader, folder: _Spot, expected: set[Place | None], private: set[Place | None]
) -> Iterator[Leftover]:
    """What no mender.conf names, and private keys in files that it names for something else."""
    if folder.place is None:
        return
    for entry in reader.entries(folder.place):
        place = Place(folder.place.volume, (*folder.place.path, entry.name))
        if entry.kind is Kind.FILE and place not in private:
            path = text((*parse_path(folder.path), entry.name))
            yield from _leftover(reader, path, entry, place, is_expected=place in expected)


def _leftover(reader: _Reader, path: str, entry: Entry, place: Place, *, is_expected: bool) -> Iterator[Leftover]:
    if entry.name in _STORES:
        yield Leftover(path, _STORES[entry.name], is_secret=True)
        return
    found = reader.file(place) if entry.size <= _MOST else None
    labels = pem_labels(found[1]) if found else []
    if any("PRIVATE KEY" in label for label in labels):
        why = "a private key that mender.conf does not name"
        if is_expected:
            why = "a private key in a file that mender.conf names for something else"
        elif entry.name == _AGENT_KEY:
            why = "a key that Mender's client made: all devices of this image would have the same"
        yield Leftover(path, why, is_secret=True)
    elif "CERTIFICATE" in labels and not is_expected:
        yield Leftover(path, "a certificate mender.conf does not name", is_secret=False)


def _volume_faults(image: Image, looked_at: Iterable[Volume]) -> Iterator[str]:
    """Of what file systems the device may see other files than were read here, or none were read."""
    for volume in dict.fromkeys((*image.layout.rootfs, *looked_at)):
        system = volume.system
        if isinstance(system, Ext):
            system = probe(image.region(volume))  # anew: a patch may have changed it
        elif system is None:  # B is empty before the first update
            continue
        fault = system.state_fault() if isinstance(system, Ext) else system.write_fault() if system else "is damaged"
        if fault:
            yield f"{volume.where} {fault}"
