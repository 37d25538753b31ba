"""The files Mender's own client reads."""

import datetime as dt
import json
import subprocess
from pathlib import Path

from mtls_ambassador.pki.issue import Validity, make_ca, make_device, make_key
from mtls_ambassador.sandbox.real_files import RealClientConfig, write_folder, write_pair
from mtls_ambassador.sandbox.real_isolation import LINKS, OVERLAYS

VALID = Validity.days(dt.datetime.now(dt.UTC), 2)
CA = make_ca("CA", VALID)
PAIR = make_device(CA, "device", VALID)


def written(folder: Path, config: RealClientConfig) -> dict[str, object]:
    write_folder(folder, config)
    conf = json.loads((folder / "etc/mender.conf").read_text())
    assert isinstance(conf, dict)
    return conf


def test_mender_conf_is_the_seeds(tmp_path: Path) -> None:
    config = RealClientConfig("https://my-server.com", PAIR, CA.certificate_pem, "02:00", tenant_token="T")
    conf = written(tmp_path, config)
    assert (conf["ServerURL"], conf["TenantToken"]) == ("https://my-server.com", "T")
    client = conf["HttpsClient"]
    assert isinstance(client, dict)
    assert Path(client["Certificate"]).read_bytes() == PAIR.certificate_pem
    assert Path(client["Key"]).read_bytes() == PAIR.key_pem
    assert "Security" not in conf


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    config = RealClientConfig("https://x", PAIR, CA.certificate_pem, "02:00", auth_key=make_key())
    conf = written(tmp_path, config)
    assert conf["Security"] == {"AuthPrivateKey": str(tmp_path / "auth-private.pem")}
    for name in ("auth-private.pem", "mender-cert-private.pem"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


def test_the_scripts_print_the_identity_and_the_inventory(tmp_path: Path) -> None:
    config = RealClientConfig("https://x", PAIR, CA.certificate_pem, "02:00:$(id)", inventory={"site": "it's"})
    write_folder(tmp_path, config)
    for script, expected in (
        ("identity/mender-device-identity", "mac=02:00:$(id)\n"),
        ("inventory/mender-inventory-demo", "site=it's\n"),
    ):
        assert subprocess.run([tmp_path / script], capture_output=True, check=True, text=True).stdout == expected


def test_only_this_device_knows_its_hosts(tmp_path: Path) -> None:
    config = RealClientConfig("https://x", PAIR, b"", "02:00", hosts={"my-server.com": "127.0.0.1"})
    write_folder(tmp_path, config)
    assert (tmp_path / "hosts").read_text() == "127.0.0.1 my-server.com\n" + Path("/etc/hosts").read_text()
    assert all((tmp_path / source).exists() for source, _ in (*OVERLAYS, *LINKS))


def test_another_pair_takes_the_place_of_the_first(tmp_path: Path) -> None:
    write_folder(tmp_path, RealClientConfig("https://x", PAIR, b"", "02:00"))
    other = make_device(CA, "device", VALID)
    write_pair(tmp_path, other)
    assert (tmp_path / "mender-cert.pem").read_bytes() == other.certificate_pem
    assert (tmp_path / "mender-cert-private.pem").read_bytes() == other.key_pem
    assert (tmp_path / "mender-cert-private.pem").stat().st_mode & 0o777 == 0o600
