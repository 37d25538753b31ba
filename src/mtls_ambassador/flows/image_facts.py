"""One device's image, looked at for what an audit needs to know; secrets in it are compared and left there."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from mtls_ambassador.flows.read_image import ImageFile, find_file
from mtls_ambassador.image.entry import Kind, Parts, text
from mtls_ambassador.image.image import Image
from mtls_ambassador.image.template import DEFAULT, Source
from mtls_ambassador.image.tree import parse_path
from mtls_ambassador.model.device_image import (
    CertificateFacts,
    ClientConf,
    ConfFile,
    DeviceImage,
    KeyFacts,
    Leftover,
)
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.pki.client_conf import read_client_conf

_CONF: Parts = ("etc", "mender", "mender.conf")
_STATE: Parts = ("data", "mender")
_MOST = 1 << 20
"""Bytes of a file that is read whole: keys, certificates and configurations are far smaller."""
_STORES = {"mender-store": "what Mender's client remembered, such as who it was: an old store", "authtoken": "a token"}
_AGENT_KEY = "mender-agent.pem"


@dataclass(frozen=True, slots=True)
class Measure:
    """What certificates are compared with."""

    authorities: tuple[x509.Certificate, ...]
    now: dt.datetime


def image_facts(image: Image, name: str, measure: Measure) -> DeviceImage:
    """What is in it. What cannot be read is a fact too: nothing is raised."""
    try:
        return _facts(image, name, measure)
    except AmbassadorError as error:
        return DeviceImage(name, fault=str(error))


def _facts(image: Image, name: str, measure: Measure) -> DeviceImage:
    confs = tuple(_confs(image))
    conf = next((file.conf for file in confs if file.conf is not None), ClientConf())
    certificate_path = conf.certificate or DEFAULT.path_of(Source.CERTIFICATE) or ""
    key_path = conf.key or DEFAULT.path_of(Source.KEY) or ""
    certificate, certificate_fault = _certificate(image, certificate_path, measure)
    key, key_fault = (None, "") if key_path.startswith("pkcs11:") else _key(image, key_path)
    return DeviceImage(
        name,
        confs,
        certificate,
        certificate_fault,
        key,
        key_fault,
        _server_ca_fault(image, conf.server_ca, measure.now) if conf.server_ca else "",
        tuple(_leftovers(image, _files((certificate_path, key_path)), _files(_named(conf)))),
    )


def _confs(image: Image) -> Iterator[ConfFile]:
    for place in image.places(_CONF, follow_last=True):
        system = image.system(place.volume)
        entry = system.entry(place.path)
        if entry is None or entry.kind is not Kind.FILE:
            yield ConfFile(place.volume.where, None, f"{text(_CONF)} is not there")
            continue
        try:
            content = _read(ImageFile(system, place.path, entry)).decode()
            yield ConfFile(place.volume.where, read_client_conf(content, text(_CONF)))
        except (AmbassadorError, UnicodeDecodeError) as error:
            yield ConfFile(place.volume.where, None, str(error))


def _read(file: ImageFile) -> bytes:
    if file.entry.size > _MOST:
        raise AmbassadorError(
            f"{text(file.path)}: has {file.entry.size} bytes, which is no key, certificate or setting"
        )
    return file.read()


def _find(image: Image, path: str) -> ImageFile | None:
    """The file on the device with this path; None when there is none."""
    file = find_file(image, parse_path(path)) if path.startswith("/") else None
    return file if file is not None and file.entry.kind is Kind.FILE else None


def _certificate(image: Image, path: str, measure: Measure) -> tuple[CertificateFacts | None, str]:
    file = _find(image, path)
    if file is None:
        return None, f"{path} is not there"
    try:
        certificate = x509.load_pem_x509_certificate(_read(file))
        spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        return None, f"{path}: no readable certificate"
    facts = CertificateFacts(
        path,
        certificate.fingerprint(hashes.SHA256()).hex(),
        hashlib.sha256(spki).hexdigest(),
        certificate.subject.rfc4514_string(),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        any(_is_issued_by(certificate, authority) for authority in measure.authorities),
    )
    return facts, ""


def _is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Fails closed: what cannot be verified is not issued by it."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _key(image: Image, path: str) -> tuple[KeyFacts | None, str]:
    file = _find(image, path)
    if file is None:
        return None, f"{path} is not there"
    spki, fault = b"", ""
    try:
        public = load_pem_private_key(_read(file), None).public_key()
        spki = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except TypeError:
        fault = "is encrypted, so that the client cannot use it"
    except (ValueError, UnsupportedAlgorithm):
        fault = "no readable private key"
    entry, known = file.entry, hashlib.sha256(spki).hexdigest() if spki else ""
    return KeyFacts(path, known, entry.mode, entry.uid, file.system.type != "vfat"), fault


def _server_ca_fault(image: Image, path: str, now: dt.datetime) -> str:
    file = _find(image, path)
    if file is None:
        return f"ServerCertificate names {path}, which is not there"
    try:
        certificates = x509.load_pem_x509_certificates(_read(file))
    except ValueError:
        return f"{path}: no readable certificate"
    if all(item.not_valid_after_utc <= now for item in certificates):
        return f"{path}: expired on {max(item.not_valid_after_utc for item in certificates):%Y-%m-%d}"
    return ""


def _named(conf: ClientConf) -> tuple[str, ...]:
    return (conf.certificate, conf.key, conf.auth_key, conf.server_ca, *conf.others)


def _files(paths: Iterable[str]) -> set[Parts]:
    return {parse_path(path) for path in paths if path.startswith("/") and ".." not in path.split("/")}


def _leftovers(image: Image, pair: set[Parts], named: set[Parts]) -> Iterator[Leftover]:
    """What is in the client's folders, and in those of key and certificate, and is not named in mender.conf."""
    known = pair | named
    for folder in sorted({_STATE, _CONF[:-1], *(path[:-1] for path in pair)}):
        found = find_file(image, folder)
        if found is None or found.entry.kind is not Kind.FOLDER:
            continue
        for entry in found.system.entries(found.path):
            path = (*folder, entry.name)
            if entry.kind is Kind.FILE and path not in known:
                file = ImageFile(found.system, (*found.path, entry.name), entry)
                yield from _leftover(text(path), file)


def _leftover(path: str, file: ImageFile) -> Iterator[Leftover]:
    name = file.entry.name
    if name in _STORES:
        yield Leftover(path, _STORES[name], is_secret=True)
    elif file.entry.size <= _MOST:
        labels = _labels(file)
        is_key = any("PRIVATE KEY" in label for label in labels)
        if not is_key and "CERTIFICATE" not in labels:
            return
        if name == _AGENT_KEY and is_key:
            why = "a key that Mender's client made: all devices of this image would have the same"
        else:
            why = (
                "a private key that mender.conf does not name" if is_key else "a certificate mender.conf does not name"
            )
        yield Leftover(path, why, is_secret=is_key)


def _labels(file: ImageFile) -> Sequence[str]:
    """What PEM blocks it has (RFC 7468)."""
    begin, end = b"-----BEGIN ", b"-----"
    lines = (line.strip() for line in file.read().splitlines())
    return [
        line.removeprefix(begin).removesuffix(end).decode(errors="replace") for line in lines if line.startswith(begin)
    ]
