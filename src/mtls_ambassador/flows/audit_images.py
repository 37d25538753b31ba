"""All images of an order, looked at before they are shipped: each by itself, with each other, and with the manifest."""

from collections.abc import Container, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from mtls_ambassador.decide.audit_image import Policy, audit_image, duplicates
from mtls_ambassador.flows.look_into_images import golden_opened, is_patch, look_into_all, new_looker
from mtls_ambassador.image.progress import Progress, no_progress
from mtls_ambassador.model.device_image import DeviceImage
from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.model.finding import Finding, Level, fail, warn
from mtls_ambassador.pki import manifest
from mtls_ambassador.pki.files import read_file
from mtls_ambassador.pki.manifest import FILE_NAME, SIGNATURE_SUFFIX, Line

_BESIDE = (".bmap", ".bmap.asc", ".bmap.sig")
"""What block maps and their signatures end with."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to look at, and what to compare it with."""

    paths: Sequence[Path]
    golden: Path | None
    """What patches are patches to."""
    authorities: tuple[x509.Certificate, ...]
    policy: Policy
    on_progress: Progress = no_progress


@dataclass(slots=True)
class Audited:
    """One image, and what is to be said of it."""

    path: Path
    image: DeviceImage
    findings: list[Finding] = field(default_factory=list)


def audit_images(request: Request) -> list[Audited]:
    """Look at every image. What is wrong with one is a finding; raises only for what cannot be asked at all."""
    manifests = {path: _lines(path / FILE_NAME) for path in request.paths if (path / FILE_NAME).is_file()}
    files = _files(request, manifests)
    audited = []
    with golden_opened(request.golden, request.on_progress) if request.golden else nullcontext() as golden:
        wanted = new_looker(golden, request.authorities, request.policy.now)
        for done, image in enumerate(look_into_all(files, wanted, request.on_progress), 1):
            audited.append(Audited(files[done - 1], image, audit_image(image, request.policy)))
            request.on_progress("audit", done, len(files))
    shared = duplicates(item.image for item in audited)
    for item in audited:
        _add(item, shared.get(item.image.name, []))
    for folder, lines in manifests.items():
        audited += _compare(folder, lines, [item for item in audited if item.path.parent == folder], request)
    return audited


def _add(item: Audited, findings: list[Finding]) -> None:
    """More findings; that all is well is then no longer true."""
    if findings:
        item.findings = [known for known in item.findings if known.level is not Level.OK] + findings


def _files(request: Request, manifests: dict[Path, dict[str, Line]]) -> list[Path]:
    files: list[Path] = []
    for path in request.paths:
        taken = _inside(path, manifests.get(path, {})) if path.is_dir() else [path]
        if not taken:
            raise AmbassadorError(f"{path}: has no image and no patch in it")
        files += taken
    if request.golden is None and any(map(is_patch, files)):
        raise UsageError("patches are looked at with the image they belong to: say --golden GOLDEN")
    return files


def _inside(folder: Path, named: Container[str]) -> list[Path]:
    """All that may be meant to be shipped. Fails closed: no image is left out because of its name."""
    items = [item for item in folder.iterdir() if not item.is_dir()]
    return sorted(item for item in items if item.name in named or not _is_beside(item.name))


def _is_beside(name: str) -> bool:
    """Whether it is known to be no image by its name: the manifest, a block map, or hidden, such as a journal."""
    return name.startswith((FILE_NAME, ".")) or name.lower().endswith(_BESIDE)


def _compare(folder: Path, lines: dict[str, Line], audited: list[Audited], request: Request) -> list[Audited]:
    """Hold images against the manifest beside them; returns what it names and is not there."""
    unsigned = [] if _is_signed(folder, request.authorities) else [warn("manifest", "is not signed by our CA")]
    for item in audited:
        line = lines.get(item.path.name)
        _add(item, unsigned + ([warn("manifest", "does not know this image")] if line is None else _held(item, line)))
    gone = [fail("image", "is in the manifest, and is not there")]
    there = {item.path.name for item in audited}
    return [Audited(folder / name, DeviceImage(str(folder / name)), gone) for name in sorted(lines.keys() - there)]


def _held(item: Audited, line: Line) -> list[Finding]:
    if line.image is None or manifest.sha256(item.path) != line.image.sha256:
        return [fail("manifest", "says another hash: the file was changed, or is damaged")]
    if item.image.fingerprints != {line.certificate_sha256.hex()}:
        return [fail("manifest", "says another certificate")]
    return []


def _lines(path: Path) -> dict[str, Line]:
    """The lines of a manifest that are of images, by the names of their files."""
    lines = {}
    with path.open("rb") as file:
        for number, content in enumerate(file, 1):
            try:
                line = Line.from_json(content)
            except ValueError as error:
                raise AmbassadorError(f"{path}: line {number}: {error}") from error
            if line.image is not None:
                lines[line.image.file] = line
    return lines


def _is_signed(folder: Path, authorities: tuple[x509.Certificate, ...]) -> bool:
    """Whether one of our CAs signed the manifest. Raises AmbassadorError when it was changed after that."""
    path = folder / (FILE_NAME + SIGNATURE_SUFFIX)
    if not path.exists():
        return False
    signature = read_file(path, "the manifest's signature")
    for authority in authorities:
        try:
            manifest.verify(folder / FILE_NAME, signature, authority)
        except AmbassadorError:
            continue
        return True
    raise AmbassadorError(f"{folder / FILE_NAME}: was signed by none of our CAs, or changed after it was signed")
