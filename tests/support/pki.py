"""Fresh certificates on disk for one test: a CA, a server, devices of every kind, and what the seed's commands make."""

import datetime as dt
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from mtls_ambassador.pki.issue import KeyKind, Pair, Validity, make_ca, make_device, make_key, make_server


def validity(from_days: float = -1, to_days: float = 30) -> Validity:
    """From and to, in days from now."""
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    return Validity(now + dt.timedelta(days=from_days), now + dt.timedelta(days=to_days))


@dataclass(frozen=True, slots=True)
class Files:
    """A certificate (with its chain) and key as PEM files."""

    certificate: Path
    key: Path

    @classmethod
    def write(cls, folder: Path, name: str, pair: Pair, chain: tuple[Pair, ...] = ()) -> "Files":
        """Put the pair, followed by the chain's certificates, into `folder`."""
        files = cls(folder / f"{name}.crt", folder / f"{name}.key")
        files.certificate.write_bytes(b"".join(each.certificate_pem for each in (pair, *chain)))
        files.key.touch(mode=0o600)
        files.key.write_bytes(pair.key_pem)
        return files


class Pki:
    """A CA with a server certificate for 127.0.0.1 and localhost; devices are made as asked for."""

    def __init__(self, folder: Path, *, kind: KeyKind = KeyKind.P256) -> None:
        self.folder = folder
        self.ca = make_ca("Test CA", validity(), kind=kind)
        self.ca_file = folder / "ca.pem"
        self.ca_file.write_bytes(self.ca.certificate_pem)
        self.server = Files.write(folder, "server", make_server(self.ca, ["127.0.0.1", "localhost"], validity()))
        self._made = 0

    def device(
        self,
        name: str = "device",
        *,
        kind: KeyKind = KeyKind.P256,
        ca: Pair | None = None,
        dates: Validity | None = None,
        chain: tuple[Pair, ...] = (),
    ) -> Files:
        """A device certificate on disk; of this CA and good today unless told otherwise."""
        self._made += 1
        pair = make_device(ca or self.ca, name, dates or validity(), key=make_key(kind))
        return Files.write(self.folder, f"{name}-{self._made}", pair, chain)

    def stranger(self) -> Files:
        """A device of a CA with the same name that the gateway does not know."""
        return self.device("stranger", ca=make_ca("Test CA", validity()))

    def client_context(self, device: Files | None) -> ssl.SSLContext:
        """TLS as a device speaks it: trusts this CA, shows the device's certificate when there is one."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        if device:
            context.load_cert_chain(device.certificate, device.key)
        return context


SEED_COMMANDS = """
openssl ecparam -genkey -name P-256 -noout -out ca-private.key
openssl req -new -x509 -key ca-private.key -out ca-cert.pem -config ca-cert.conf -days $((365*10))
openssl ecparam -genkey -name P-256 -noout -out server-private.key
openssl req -new -key server-private.key -out server-cert.req -config server-cert.conf
openssl x509 -req -CA ca-cert.pem -CAkey ca-private.key -CAcreateserial -in server-cert.req -out server-cert.pem \
  -days $((365*2))
openssl ecparam -genkey -name P-256 -noout -out device-private.key
openssl req -new -key device-private.key -out device-cert.req -config device-cert.conf
openssl x509 -req -CA ca-cert.pem -CAkey ca-private.key -CAcreateserial -in device-cert.req -out device-cert.pem \
  -days $((365*10))
"""
"""The commands of Mender's page "Client certificates", word for word."""

SEED_CONFIG = """[req]
distinguished_name = req_distinguished_name
prompt = no

[req_distinguished_name]
commonName={common_name}
organizationName=My Organization
organizationalUnitName=My Unit
emailAddress=myusername@example.com
countryName=NO
localityName=Oslo
stateOrProvinceName=Oslo
"""


def run_seed_commands(folder: Path) -> None:
    """Leave in `folder` the files Mender's page tells a user to make: server and device certificates without a SAN."""
    for name, common_name in (("ca", "My CA"), ("server", "localhost"), ("device", "my-device-hostname.com")):
        (folder / f"{name}-cert.conf").write_text(SEED_CONFIG.format(common_name=common_name))
    subprocess.run(["bash", "-euc", SEED_COMMANDS], cwd=folder, check=True, capture_output=True)
