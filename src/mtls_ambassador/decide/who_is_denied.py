"""Which denials hit a certificate, among many and for many. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from mtls_ambassador.model.certificate import Named
from mtls_ambassador.model.denial import Denial, DenialKind


class DenialIndex:
    """Denials, found by what they name."""

    def __init__(self, items: Iterable[Denial], batches: Mapping[int, Iterable[int]]) -> None:
        """`batches` are the serials of the batches that are denied, by number."""
        self._of_serials = defaultdict[int, list[Denial]](list)
        self._of_keys = defaultdict[str, list[Denial]](list)
        self._others: list[Denial] = []
        for item in items:
            if item.kind is DenialKind.SERIAL and item.serial is not None:
                self._of_serials[item.serial].append(item)
            elif item.kind is DenialKind.KEY:
                self._of_keys[item.spki_sha256].append(item)
            elif item.kind is DenialKind.BATCH and item.batch_id is not None:
                for serial in batches.get(item.batch_id, ()):
                    self._of_serials[serial].append(item)
            else:
                self._others.append(item)

    def that_hit(self, certificate: Named) -> list[Denial]:
        """Those that name it, its key, its batch, its time or its CA; what is not known of it is not compared."""
        found = list(self._of_keys.get(certificate.spki_sha256, ()))
        if certificate.serial is not None:
            found += self._of_serials.get(certificate.serial, ())
        found += [item for item in self._others if _is_within(item, certificate)]
        return [item for item in found if not item.issuer or certificate.issuer in {"", item.issuer}]


def _is_within(item: Denial, certificate: Named) -> bool:
    if item.kind is DenialKind.UNSEEN:
        return False  # whoever asks here names a certificate that was seen, or is of the records
    if item.kind is DenialKind.CA:
        return bool(certificate.issuer)
    return certificate.not_before is not None and item.covers(certificate.not_before)
