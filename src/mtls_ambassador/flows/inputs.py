"""All that the gateway is given by files and by its store, as last read and found good."""

import datetime as dt
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding

from mtls_ambassador.decide.denylist import Denied, Span
from mtls_ambassador.envoy.material import Material
from mtls_ambassador.envoy.place import Machine, RuntimePaths
from mtls_ambassador.flows import compile_denylist, trust_files
from mtls_ambassador.flows.input_files import read_input
from mtls_ambassador.flows.remembered_serials import Remembered
from mtls_ambassador.flows.trust_files import Authorities
from mtls_ambassador.model.errors import AmbassadorError, FaultsError
from mtls_ambassador.model.store_denials import StoreDenials
from mtls_ambassador.pki.authority import issuer_sha256
from mtls_ambassador.pki.crl_file import Crls, parse_crls
from mtls_ambassador.settings import Settings

EARLY = dt.timedelta(seconds=5)
"""Before Envoy takes a CRL for stale, and refuses everybody, it must have been told otherwise."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """One state of all of them; each `with_…` is the next one, and raises AmbassadorError when what is read is bad."""

    server_chain: bytes = b""
    server_key: bytes = field(default=b"", repr=False)
    bundle: bytes = b""
    authorities: Authorities = ()
    upstream: bytes | None = None
    listed: frozenset[bytes] = field(default=frozenset(), repr=False)
    """Serials of the denylist file."""
    gone: frozenset[bytes] = field(default=frozenset(), repr=False)
    """Serials it listed before: they stay denied until an operator restores them."""
    remembered: Remembered = field(default_factory=Remembered, repr=False)
    """Both, as the state folder has them."""
    crls: Crls | None = None
    store: StoreDenials = field(default_factory=StoreDenials)

    def with_server_pair(self, settings: Settings) -> "Inputs":
        """The certificate that devices see, and its key."""
        chain, key = trust_files.read_server_pair(settings)
        return replace(self, server_chain=chain, server_key=key)

    def with_authorities(self, settings: Settings, now: dt.datetime) -> "Inputs":
        """The CA bundle, and the CRLs, which must be of its CAs."""
        bundle, authorities = trust_files.read_authorities(settings)
        before, after = ({item.subject for item in found} for found in (self.authorities, authorities))
        if before and not before & after:
            raise AmbassadorError(
                f"MTLS_TENANT_CA_PEM: {settings.tenant_ca}: has no CA in common with the one in force, so that every"
                " device would be shut out; put the old and the new CA into it first, or restart the gateway if it is"
                " meant"
            )
        return replace(self, bundle=bundle, authorities=authorities).with_crls(settings, now)

    def with_crls(self, settings: Settings, now: dt.datetime) -> "Inputs":
        """The CRLs of `MTLS_CRL_PATH`."""
        if settings.crl is None:
            return self
        content = read_input(settings.crl, "MTLS_CRL_PATH")
        try:
            found = parse_crls(content, self.authorities, now, needs_expired=settings.skip_client_expiry)
        except FaultsError as error:
            raise AmbassadorError(f"MTLS_CRL_PATH: {settings.crl}: {error}") from error
        if found.this_update > now:
            raise NotYetError(
                f"MTLS_CRL_PATH: {settings.crl}: a CRL is of {found.this_update:%Y-%m-%d %H:%M:%S} UTC, which is still"
                " to come; compare the clocks"
            )
        return replace(self, crls=found)

    def with_upstream(self, settings: Settings, machine: Machine) -> "Inputs":
        """What the Mender server's certificate must chain to."""
        return replace(self, upstream=trust_files.read_upstream_authorities(settings, machine))

    def with_blacklist(self, settings: Settings) -> "Inputs":
        """The serials of `MTLS_BLACKLIST_PATH`. What it lists no more stays denied, unless it was restored since."""
        listed = compile_denylist.read_blacklist(settings)
        restored = self.store.restored
        before = self.remembered.serials | self.blacklist
        again = {text: restored[text] for text in (one.decode() for one in listed - before) if text in restored}
        used = {**self.remembered.used, **again}
        return replace(
            self, listed=listed, gone=before - listed, remembered=replace(self.remembered, used=used)
        ).without_restored()

    def with_store(self, path: Path) -> "Inputs":
        """What the decision service found in the store."""
        try:
            found = replace(self, store=StoreDenials.from_json(path.read_text()))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise AmbassadorError(f"the denylist of the store cannot be read: {error}") from error
        return found.without_restored()

    def without_restored(self) -> "Inputs":
        """Without those that an operator has let in again; each time counts once."""
        used, restored = self.remembered.used, self.store.restored
        now = {text: at for text, at in restored.items() if text.encode() in self.gone and at > used.get(text, 0)}
        if not now:
            return self
        back = frozenset(map(str.encode, now))
        remembered = Remembered(self.remembered.serials - back, {**used, **now})
        return replace(self, gone=self.gone - back, remembered=remembered)

    @property
    def blacklist(self) -> frozenset[bytes]:
        """Serials of the denylist file, those it had before included."""
        return self.listed | self.gone if self.gone else self.listed

    def is_crl_stale(self, now: dt.datetime) -> bool:
        """Whether the time of a CRL is over."""
        return self.crls is not None and self.crls.next_update - EARLY <= now

    def is_crl_over(self, settings: Settings, now: dt.datetime) -> bool:
        """Whether even the grace is over: nobody is let in any more."""
        return self.crls is not None and self.crls.next_update.timestamp() + settings.crl_grace <= now.timestamp()

    def denied(self, settings: Settings, now: dt.datetime) -> Denied:
        """All that is denied, by whomever."""
        names = {issuer_sha256(item).hex(): item.subject.rfc4514_string() for item in self.authorities}
        serials = self.blacklist.union(map(str.encode, self.store.serials)) if self.store.serials else self.blacklist
        of_issuers = self._of_issuers(names)
        issuers = [*self.store.issuers, *self._revoked_authorities(serials, of_issuers)]
        if self.is_crl_over(settings, now):
            issuers += names.values()
        spans = tuple(Span(*span) for span in self.store.spans)
        return Denied(serials, of_issuers, spans, tuple(dict.fromkeys(issuers)))

    def _of_issuers(self, names: Mapping[str, str]) -> dict[str, frozenset[bytes]]:
        """By issuer; what is no CA of the bundle has a name of its own, and counts for who is of no CA of it."""
        found = dict(self.crls.serials) if self.crls else {}
        by_hash = {names.get(one, f"SHA-256 {one}"): serials for one, serials in self.store.of_authorities.items()}
        for more in (self.store.of_issuers, by_hash):
            for issuer, serials in more.items():
                found[issuer] = found.get(issuer, frozenset()).union(map(str.encode, serials))
        return found

    def _revoked_authorities(
        self, serials: frozenset[bytes], of_issuers: Mapping[str, frozenset[bytes]]
    ) -> Iterator[str]:
        """CAs of the bundle that are themselves denied or revoked: so are all that they have issued."""
        nobody: frozenset[bytes] = frozenset()
        for item in self.authorities:
            serial = b"%040x" % item.serial_number
            if serial in serials or serial in of_issuers.get(item.issuer.rfc4514_string(), nobody):
                yield item.subject.rfc4514_string()

    def _trusted(self, denied: Denied) -> bytes:
        """The bundle without CAs that are denied, so that no CA below one is trusted either; never empty."""
        kept = [item for item in self.authorities if item.subject.rfc4514_string() not in denied.issuers]
        if not kept or len(kept) == len(self.authorities):
            return self.bundle
        return b"".join(item.public_bytes(Encoding.PEM) for item in kept)

    def together(self, settings: Settings, paths: RuntimePaths, now: dt.datetime, known_crls: "KnownCrls") -> Material:
        """What Envoy gets; the denylist is written under a new name."""
        names = compile_denylist.envoy_names(self.authorities)
        denied, ignores_end = self.denied(settings, now), settings.skip_client_expiry
        denylist = compile_denylist.write_denylist(denied, names, paths, ignores_end=ignores_end)
        in_handshake = self.crls if not self.is_crl_stale(now) or self.is_crl_over(settings, now) else None
        return Material(
            self.server_chain,
            self.server_key,
            self._trusted(denied),
            denylist,
            known_crls.path_of(in_handshake, paths),
            self.upstream,
            ignores_end,
            self.crls is not None and all(item.subject == item.issuer for item in self.authorities),
        )


@dataclass(slots=True)
class KnownCrls:
    """Where the CRLs for Envoy are: a new file for new ones, for Envoy reads a name once."""

    crls: Crls | None = None
    path: Path | None = None
    in_force: tuple[Path | None, ...] = ()
    """The last ones that were published: Envoy has the newest, and may still be reading the one before."""

    def path_of(self, crls: Crls | None, paths: RuntimePaths) -> Path | None:
        """The file with these; None for none."""
        if crls is None:
            return None
        if self.path is None or self.crls is None or self.crls.pem != crls.pem:
            self.path, self.crls = paths.directory / f"crls-{os.urandom(8).hex()}.pem", crls
            self.path.write_bytes(crls.pem)
        return self.path

    def published(self, path: Path | None, paths: RuntimePaths) -> None:
        """Others than these are not needed any more."""
        self.in_force = (*self.in_force, path)[-2:] if path not in self.in_force[-1:] else self.in_force
        for old in paths.directory.glob("crls-*.pem"):
            if old not in self.in_force:
                old.unlink(missing_ok=True)


class NotYetError(AmbassadorError):
    """What will be right later, without a change of the file."""
