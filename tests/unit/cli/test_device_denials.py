"""`device revoke`, `restore` and `denials`: whom each selector names, what is told, and what leaves all as it was."""

import datetime as dt
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from mtls_ambassador.cli import main
from mtls_ambassador.flows.store_denials import collect
from mtls_ambassador.model.certificate import DeviceCertificate
from mtls_ambassador.model.denial import Denial, DenialKind
from mtls_ambassador.model.identity import Identity
from mtls_ambassador.model.revocation import serial_hex
from mtls_ambassador.pki.issue import make_ca
from mtls_ambassador.pki.parse import device_certificate
from mtls_ambassador.settings import StoreSettings
from mtls_ambassador.store import audit, denials, devices
from mtls_ambassador.store.database import Database, open_database
from mtls_ambassador.store.denial_tables import denial
from support.gateway import clean_environ
from support.pki import Files, Pki, validity

NOW = dt.datetime.now(dt.UTC)
ISSUER = "CN=Test CA"


def identity_of(name: str) -> str:
    return json.dumps({"mac": name}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway's records with the devices a and b, and its CA."""

    pki: Pki
    store: StoreSettings
    a: Files
    b: Files
    capture: pytest.CaptureFixture[str]

    def __call__(self, *args: str | Path, code: int = 0) -> str:
        """What a device command says on both streams; it must end with `code`."""
        ended = main(["device", *map(str, args)])
        said = "".join(self.capture.readouterr())
        assert ended == code, said
        return said

    def json(self, *args: str | Path, code: int = 0) -> Any:  # noqa: ANN401 - any JSON
        ended = main(["device", *map(str, args), "--json"])
        said = self.capture.readouterr()
        assert ended == code, said.err
        return json.loads(said.out)

    def denied(self, files: Files) -> list[str]:
        """What keeps a device out."""
        certificate = read(files)
        with open_database(self.store) as database, database.transaction() as connection:
            return [item.what for item in denials.that_hit(connection, certificate, dt.datetime.now(dt.UTC))]

    def standing(self) -> list[Denial]:
        with open_database(self.store) as database, database.transaction() as connection:
            return denials.standing(connection)

    def audit(self) -> list[str]:
        with open_database(self.store) as database, database.transaction() as connection:
            return [f"{entry.event} {entry.reason} {entry.detail}" for entry in audit.read_all(connection)]


def read(files: Files) -> DeviceCertificate:
    return device_certificate(files.certificate.read_bytes())


def accept(database: Database, name: str, files: Files) -> None:
    """As the gateway does when it lets a device in."""
    identity = Identity.parse(identity_of(name))
    with database.transaction() as connection:
        devices.record_accepted(connection, identity, read(files), "key", f"id-{name}", NOW)
        denials.remember(connection, identity, read(files), NOW)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Site:
    """The environment has the store and nothing else."""
    pki = Pki(tmp_path)
    made = Site(
        pki,
        StoreSettings(tmp_path / "state", None, tmp_path / "state" / "pki"),
        pki.device("a"),
        pki.device("b"),
        capsys,
    )
    with open_database(made.store) as database:
        accept(database, "a", made.a)
        accept(database, "b", made.b)
    monkeypatch.setenv("MTLS_STATE_DIR", str(made.store.state_dir))
    return made


def key_of(files: Files) -> str:
    return read(files).spki_sha256


def serial_of(files: Files) -> str:
    return serial_hex(read(files).serial)


def listed(site: Site, files: Files) -> Path:
    path = site.pki.folder / "serials.txt"
    path.write_text(f"# stolen\n0x{serial_of(files)}\n")
    return path


SELECTORS: dict[str, Callable[[Site], list[str | Path]]] = {
    "identity": lambda _: [identity_of("a")],
    "serial": lambda site: ["--serial", serial_of(site.a)],
    "serial-of-ca": lambda site: ["--serial", serial_of(site.a), "--ca", site.pki.ca_file],
    "serials": lambda site: ["--serials", listed(site, site.a)],
    "cert": lambda site: ["--cert", site.a.certificate],
    "key": lambda site: ["--key", key_of(site.a)],
    "key-of-certificate": lambda site: ["--key", site.a.certificate],
}


@pytest.mark.parametrize("kind", SELECTORS)
def test_one_device_is_denied_and_let_in_by_the_same_words(site: Site, kind: str) -> None:
    words = SELECTORS[kind](site)
    said = site("revoke", *words, "--reason", "keyCompromise", "--by", "me", "--note", "lorry")
    assert "devices known to the gateway that it hits: 1\n" in said
    assert '  {"mac":"a"} (CN=a)\n' in said
    assert len(site.denied(site.a)) == 1
    assert site.denied(site.b) == []
    again = site("revoke", *words, "--reason", "keyCompromise", "--by", "me")
    assert "denied already: 1: " in again
    assert "differs" not in again
    assert len(site.standing()) == 1
    assert "lifted: 1: " in site("restore", *words, "--by", "you", "--note", "found")
    assert site.denied(site.a) == []
    deny, restore = site.audit()
    assert deny.startswith("deny keyCompromise ")
    assert deny.endswith(", by me: lorry")
    assert restore.startswith("restore keyCompromise ")
    assert restore.endswith(", by you: found")


@pytest.mark.parametrize(
    "words",
    [
        ["--ca", "CA"],
        ["--issued-from", "2020-01-01", "--issued-to", "2100-01-01"],
        ["--issued-from", "2020-01-01T00:00:00Z", "--issued-to", "2100-01-01", "--ca", "CA"],
    ],
)
def test_many_are_denied_at_once(site: Site, words: list[str]) -> None:
    chosen = [str(site.pki.ca_file) if word == "CA" else word for word in words]
    assert "hits: 2\n" in site("revoke", *chosen)
    assert [len(site.denied(files)) for files in (site.a, site.b)] == [1, 1]
    site("restore", *chosen)
    assert [len(site.denied(files)) for files in (site.a, site.b)] == [0, 0]


def test_of_a_ca_that_is_known_only_devices_that_were_let_in_before_come_again(site: Site) -> None:
    """A renewed certificate with the same key is the same device; a new device of that CA is not."""
    new = site.pki.device("new")
    foreign = site.pki.device("foreign", ca=make_ca("Other CA", validity()))
    said = site("revoke", "--ca", site.pki.ca_file, "--unseen", "--note", "its key may have leaked")
    assert "denied: 1: new devices of CA CN=Test CA" in said
    assert "devices known to the gateway that it hits: 0\n" in said
    assert [len(site.denied(files)) for files in (site.a, new, foreign)] == [0, 1, 0]
    site("restore", "--ca", site.pki.ca_file, "--unseen")
    assert site.denied(new) == []
    assert "--unseen goes with --ca alone" in site("revoke", "--unseen", "--serial", "0F", code=2)


def test_dates_are_of_the_begin_of_validity_and_of_whole_days(site: Site) -> None:
    other = make_ca("Other CA", validity())
    early = site.pki.device("early", dates=validity(-20))
    foreign = site.pki.device("foreign", ca=other, dates=validity(-20))
    day = f"{read(early).not_before:%Y-%m-%d}"
    site("revoke", "--issued-from", day, "--issued-to", day, "--ca", site.pki.ca_file)
    assert [len(site.denied(files)) for files in (early, foreign, site.a)] == [1, 0, 0]
    assert site.standing()[0].ends == dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC) + dt.timedelta(days=1)


def test_a_dry_run_names_whom_it_would_hit_and_changes_nothing(site: Site) -> None:
    told = site.json("revoke", "--ca", site.pki.ca_file, "--dry-run")
    assert (told["devices"], told["certificates"], len(told["denied"])) == (2, 0, 1)
    assert told["names"] == ['{"mac":"a"} (CN=a)', '{"mac":"b"} (CN=b)']
    assert site.standing() == []
    assert site.audit() == []
    assert not (site.store.state_dir / "denials.jsonl").exists()


def test_selectors_add_to_each_other_and_all_or_none_is_denied(site: Site) -> None:
    said = site("revoke", identity_of("a"), "--batch", "none", "--serial", "0F", code=1)
    assert "there is no batch 'none'" in said
    assert "nothing was changed" in said
    assert site.standing() == []
    said = site("revoke", identity_of("c"), "--serial", "0F", code=1)
    assert 'no certificate of {"mac":"c"} is known here' in said
    site("revoke", identity_of("a"), "--serial", "0F", "--serial", "0f", "--cert", site.b.certificate)
    assert [item.kind.value for item in site.standing()] == ["key", "serial", "serial"]


def test_every_key_of_a_renewed_device_is_denied(site: Site) -> None:
    renewed = site.pki.device("a")
    with open_database(site.store) as database:
        accept(database, "a", renewed)
    told = site.json("revoke", identity_of("a"))
    assert (len(told["denied"]), told["devices"]) == (2, 1)
    assert site.denied(site.a)
    assert site.denied(renewed)


def test_one_that_stands_for_less_long_is_no_reason_not_to_deny(site: Site) -> None:
    site("revoke", "--cert", site.a.certificate, "--until", "36h", "--by", "anna")
    said = site("revoke", "--cert", site.a.certificate, "--reason", "superseded", "--by", "me")
    assert "denied: 2: serial" in said
    assert "1 differs: until " in said
    assert "not for good; reason unspecified, not superseded; by anna, not me" in said
    shorter = site("revoke", "--cert", site.a.certificate, "--until", "2h", "--by", "me")
    assert "0 denied, 1 were already" in shorter
    assert len(site.standing()) == 2
    assert len(site.json("restore", "--cert", site.a.certificate)["lifted"]) == 2


def test_an_end_that_is_over_denies_nobody_any_more(site: Site) -> None:
    site("revoke", "--cert", site.a.certificate, "--until", "2099-01-01")
    assert site.standing()[0].until == dt.datetime(2099, 1, 2, tzinfo=dt.UTC)
    site("restore", "1")
    over = Denial(DenialKind.SERIAL, "unspecified", "me", NOW, issuer=ISSUER, serial=read(site.a).serial, until=NOW)
    with open_database(site.store) as database, database.transaction() as connection:
        denials.add(connection, [over])
    assert site("denials") == ""
    assert "; over\n" in site("denials", "--all")
    assert "denied: 3: serial" in site("revoke", "--cert", site.a.certificate)


def test_who_still_keeps_it_out_is_told(site: Site) -> None:
    site("revoke", identity_of("a"), "--by", "me")
    site("revoke", "--ca", site.pki.ca_file, "--by", "me")
    site("revoke", "--serial", serial_of(site.b), "--by", "me")
    said = site("restore", "1")
    assert "lifted: 1: key" in said
    assert f"still denied by 2: CA {ISSUER}" in said
    assert "still denied by 3" not in said
    assert f"still denied by 3: serial {serial_of(site.b)}" in site("restore", "2")


def test_restoring_what_is_denied_by_something_else_is_told(site: Site) -> None:
    site("revoke", "--ca", site.pki.ca_file)
    said = site("restore", identity_of("a"), code=1)
    assert f"not denied by itself: key {key_of(site.a)}" in said
    assert "still denied by 1: CA" in said
    assert "nothing was lifted" in said


def test_a_serial_that_only_a_file_listed_is_let_in_again(site: Site) -> None:
    said = site("restore", "--serial", serial_of(site.a))
    assert f"let in again: serial {serial_of(site.a)}, which nothing here denied" in said
    with open_database(site.store) as database, database.transaction() as connection:
        assert collect(connection, NOW).restored.keys() == {f"{read(site.a).serial:040x}"}
    assert site.audit()[0].startswith("restore unspecified serial ")
    assert "nothing was lifted" in site("restore", "--serial", serial_of(site.a), code=1)
    assert len(site.json("denials", "--all")["denials"]) == 1


def test_a_number_that_stands_for_nothing_changes_nothing(site: Site) -> None:
    site("revoke", identity_of("a"))
    said = site("restore", "1", "7", code=1)
    assert "NUMBER: no standing denial has the number 7" in said
    assert site.denied(site.a)


def test_the_list_has_all_that_is_known_of_a_denial(site: Site) -> None:
    site("revoke", "--serial", "0F", "--ca", site.pki.ca_file, "--until", "2w", "--by", "me", "--note", "a\x1b[2Jb")
    site("revoke", "--key", key_of(site.b), "--reason", "superseded")
    site("restore", "2", "--by", "you")
    said = site("denials")
    assert said.startswith(f"1: serial 0F of {ISSUER} until ")
    assert "Z, unspecified, by me " in said
    assert said.endswith(" (a?[2Jb)\n")
    assert "; lifted by you " in site("denials", "--all")
    first, second = site.json("denials", "--all")["denials"]
    assert (first["serial"], first["issuer"], first["note"], first["in_force"]) == ("0F", ISSUER, "a\x1b[2Jb", True)
    assert (second["key"], second["reason"], second["lifted_by"]) == (key_of(site.b), "superseded", "you")


def test_now_asks_gateways_to_close_connections(site: Site) -> None:
    def closings() -> int:
        with open_database(site.store) as database, database.transaction() as connection:
            return denials.closings(connection)

    site("revoke", identity_of("a"))
    assert closings() == 0
    site("revoke", identity_of("a"), "--now", "--dry-run")
    assert closings() == 0
    site("revoke", identity_of("a"), "--now")
    assert closings() == 1


def test_a_lost_denial_is_told_and_put_back(site: Site) -> None:
    site("revoke", "--serial", "0F", "--by", "me")
    with open_database(site.store) as database, database.transaction() as connection:
        connection.execute(sa.delete(denial))
    said = site.json("denials")
    assert (said["denials"], [item["what"] for item in said["lost"]]) == ([], ["serial 0F"])
    assert "put back: serial 0F" in site("denials", "--take-over")
    assert len(site.standing()) == 1
    assert "has lost nothing" in site("denials", "--take-over")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say what to deny"),
        (["nonsense"], "nonsense is not JSON"),
        (["--serial", "xyz"], "--serial: 'xyz' is no serial"),
        (["--issued-from", "2026-01-01"], "--issued-from and --issued-to go together"),
        (["--issued-from", "2026-01-02", "--issued-to", "2026-01-01"], "is not before --issued-to"),
        (["--issued-from", "yesterday", "--issued-to", "2026-01-01"], "--issued-from: 'yesterday' is no date or time"),
        (["--issued-from", "2026-01-01", "--issued-to", "9999-12-31"], "--issued-to: '9999-12-31' is no date"),
        (["--serial", "0F", "--until", "2020-01-01"], "--until: 2020-01-01 is over"),
        (["--serial", "0F", "--until", "soon"], "--until: 'soon' is no date or time"),
        (["--serial", "0F", "--reason", "removeFromCRL"], "Invalid value for '--reason'"),
        (["--key", "ab" * 32, "--ca", "CA"], "--ca goes with --serial"),
    ],
)
def test_wrong_usage_changes_nothing(site: Site, words: list[str], said: str) -> None:
    chosen = [str(site.pki.ca_file) if word == "CA" else word for word in words]
    assert said in site("revoke", *chosen, code=2)
    assert site.standing() == []


def test_files_of_another_kind_are_told(site: Site, tmp_path: Path) -> None:
    assert "is a CA's certificate; --ca means all" in site("revoke", "--cert", site.pki.ca_file, code=1)
    assert "is not a CA's certificate; --cert means" in site("revoke", "--ca", site.a.certificate, code=1)
    assert "holds no readable PEM certificate" in site("revoke", "--key", site.a.key, code=1)
    assert "cannot be read" in site("revoke", "--serials", tmp_path / "none", code=1)
    bad = tmp_path / "bad.txt"
    bad.write_text("0F\nno serial\n")
    assert f"--serials: {bad}: line 2: 'no serial' is no serial" in site("revoke", "--serials", bad, code=1)
    assert site.standing() == []


@pytest.mark.parametrize("command", [["revoke", "--serial", "0F"], ["restore", "1"], ["denials"]])
def test_a_mistyped_state_folder_makes_no_records(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("MTLS_STATE_DIR", str(tmp_path / "sate"))
    assert "MTLS_STATE_DIR: there are no records of a gateway" in site(*command, code=1)
    assert not (tmp_path / "sate").exists()


@pytest.mark.parametrize(("answer", "count"), [("n", 0), ("y", 1)])
def test_a_person_is_asked_before_many_are_denied(site: Site, answer: str, count: int) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    done = subprocess.run(
        [sys.executable, "-m", "mtls_ambassador", "device", "revoke", "--ca", str(site.pki.ca_file)],
        env=clean_environ() | {"MTLS_STATE_DIR": str(site.store.state_dir)},
        stdin=theirs,
        capture_output=True,
        text=True,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert "devices known to the gateway that it hits: 2" in done.stderr
    assert done.returncode == (0 if count else 130)
    assert len(site.standing()) == count


def test_whom_a_person_keeps_out_in_mender_is_shown(site: Site) -> None:
    with open_database(site.store) as database, database.transaction() as connection:
        devices.record_withdrawn(connection, Identity.parse(identity_of("a")), NOW)
    assert f"by a person in Mender, seen {NOW:%Y-%m-%d %H:%M}Z: {identity_of('a')}" in site("denials")
    (away,) = site.json("denials")["by_mender"]
    assert away["identity"] == identity_of("a")
