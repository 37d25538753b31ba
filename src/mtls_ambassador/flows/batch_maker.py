"""What a worker process of a batch does: keys, certificates from a template, and their files."""

import hashlib
import ssl
import string
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from mtls_ambassador.flows.batch_files import DeviceFiles
from mtls_ambassador.flows.batch_outlet import Deliverer
from mtls_ambassador.flows.batch_workers import Delivered, Made, Task
from mtls_ambassador.model.revocation import serial_hex
from mtls_ambassador.pki.authority import Authority, hash_algorithm
from mtls_ambassador.pki.folder import AuthorityHandle
from mtls_ambassador.pki.issue import KeyKind, PrivateKey, Validity, key_pem, make_key
from mtls_ambassador.pki.profiles import DeviceProfile, device_certificate
from mtls_ambassador.pki.quick_name import quick_name, quick_uri
from mtls_ambassador.pki.serial import new_serial
from mtls_ambassador.pki.signature import sign
from mtls_ambassador.pki.template import Filling, Template

_ALIKE = str.maketrans(dict.fromkeys(string.ascii_letters + string.digits, "x"))


@dataclass(frozen=True, slots=True)
class Recipe:
    """All a worker needs; sent to it by pipe, never by its command line."""

    handle: AuthorityHandle
    profile: DeviceProfile
    validity: Validity
    kind: KeyKind
    new_deliverer: Callable[[], Deliverer] = field(repr=False)
    """What hands the devices over."""

    def __call__(self) -> "DeviceMaker":
        """In the worker: open the CA."""
        return DeviceMaker(self, self.handle.open())


def example(authority: Authority, recipe: Recipe, name: str) -> x509.Certificate:
    """A certificate by the builder, of which the template is made; it is never handed to anybody.

    Raises AmbassadorError when such a certificate may not be: it would outlive its CA, or its name is impossible.
    """
    public = make_key(recipe.kind).public_key()
    return device_certificate(authority, recipe.profile, name, (), public, new_serial(), recipe.validity)


class DeviceMaker:
    """Makes device certificates, and holds them until told that they are recorded."""

    def __init__(self, recipe: Recipe, authority: Authority) -> None:
        self._recipe = recipe
        self._authority = authority
        self._sign = _signer(authority.key)
        self._template = Template(example(authority, recipe, "example"))
        self._held: deque[list[DeviceFiles]] = deque()
        self._deliverer = recipe.new_deliverer()

    def make(self, tasks: list[Task]) -> list[Made]:
        """Make and hold them."""
        both = [self._make(task) for task in tasks]
        self._held.append([files for _, files in both])
        return [made for made, _ in both]

    def deliver(self) -> Delivered:
        """Write out what was made first."""
        return self._deliverer.deliver(self._held.popleft())

    def _make(self, task: Task) -> tuple[Made, DeviceFiles]:
        key = make_key(self._recipe.kind)
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        profile = self._recipe.profile
        fields, uri = profile.fields(task.name, task.subject), profile.uri(task.name)
        subject, text = quick_name(fields)
        if any(short == "emailAddress" for short, _ in fields):
            der = self._build(task, key)
        else:
            tbs = self._template.fill(Filling(task.serial, subject, spki, quick_uri(uri)))
            der = self._template.certificate(tbs, self._sign(tbs))
            x509.load_der_x509_certificate(der)  # so that a template filled wrongly stops here
        hashes_of = hashlib.sha256(spki).digest(), hashlib.sha256(der).digest()
        made = Made(task.name, task.serial, der, *hashes_of, text, _shape(uri, fields))
        files = DeviceFiles(
            task.name,
            ssl.DER_cert_to_PEM_cert(der).encode(),
            key_pem(key),
            serial=serial_hex(task.serial),
            certificate_sha256=made.fingerprint,
            identity=task.identity,
            device_type=task.device_type,
        )
        return made, files

    def _build(self, task: Task, key: PrivateKey) -> bytes:
        """By the builder: an e-mail address stands in the SAN too, which the template has no place for."""
        recipe = self._recipe
        values = task.name, task.subject, key.public_key(), task.serial, recipe.validity
        return device_certificate(self._authority, recipe.profile, *values).public_bytes(Encoding.DER)


def _shape(uri: str, fields: tuple[tuple[str, str], ...]) -> str:
    """Alike for certificates whose names differ in letters and digits alone; countries are looked at one by one."""
    values = (f"{short}={value if short == 'C' else value.translate(_ALIKE)}" for short, value in fields)
    return "\n".join((uri.translate(_ALIKE), *values))


def _signer(key: PrivateKey) -> Callable[[bytes], bytes]:
    """What `sign` does, without finding out each time what kind of key it is."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        algorithm = ec.ECDSA(hash_algorithm(key) or hashes.SHA256())
        return lambda tbs: key.sign(tbs, algorithm)
    return lambda tbs: sign(key, tbs)
