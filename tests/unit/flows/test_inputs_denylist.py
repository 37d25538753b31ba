"""What a denylist file lists no more stays denied; a restore counts once, and only for a listing before it."""

from pathlib import Path

import pytest

from mtls_ambassador.flows.inputs import Inputs
from mtls_ambassador.flows.remembered_serials import Remembered, fault_of, load_remembered, remember
from mtls_ambassador.model.errors import AmbassadorError
from mtls_ambassador.model.store_denials import StoreDenials
from mtls_ambassador.settings import Listen, Settings, Upstream

A, B = b"a".rjust(40, b"0"), b"b".rjust(40, b"0")


class Gateway:
    """Files and a store that change, and a gateway that takes them in; it may be restarted."""

    def __init__(self, folder: Path) -> None:
        self.listed, self.store, self.state = folder / "list", folder / "store", folder / "state"
        self.settings = Settings(
            Listen("", 1), Path("c"), Path("k"), Path("ca"), Upstream("http", "x", 80), blacklist=self.listed
        )
        self.restart()

    def restart(self) -> None:
        self.kept = load_remembered(self.state)
        self.inputs = Inputs(remembered=self.kept)

    def takes(self, listed: str, **restored: float) -> set[str]:
        """Who is denied, once the file lists these and these were restored at that time."""
        self.listed.write_text(listed)
        self.store.write_text(StoreDenials(1, restored={f"{key:0>40}": at for key, at in restored.items()}).to_json())
        found = self.inputs.with_store(self.store).with_blacklist(self.settings)
        after = Remembered(found.blacklist, found.remembered.used)
        remember(self.state, self.kept, after)
        self.kept = after
        self.inputs = Inputs(listed=found.listed, gone=found.gone, remembered=after, store=found.store)
        return {serial.decode().lstrip("0") for serial in found.blacklist}


@pytest.mark.parametrize("restarts", [False, True])
def test_a_restore_counts_once(tmp_path: Path, *, restarts: bool) -> None:
    gateway = Gateway(tmp_path)

    def takes(listed: str, **restored: float) -> set[str]:
        if restarts:
            gateway.restart()
        return gateway.takes(listed, **restored)

    assert takes("a\nb\n") == {"a", "b"}
    assert takes("b\n") == {"a", "b"}, "an older file"
    assert takes("b\n", a=10) == {"b"}, "an operator restored it"
    assert takes("a\nb\n", a=10) == {"a", "b"}, "listed anew"
    assert takes("b\n", a=10) == {"a", "b"}, "an older file again: the restore was for the time before"
    assert takes("b\n", a=11) == {"b"}, "restored anew"


@pytest.mark.parametrize("restarts", [False, True])
def test_a_restore_before_the_line_goes_counts_when_it_goes(tmp_path: Path, *, restarts: bool) -> None:
    gateway = Gateway(tmp_path)
    assert gateway.takes("a\n") == {"a"}
    assert gateway.takes("a\n", a=10) == {"a"}, "still listed"
    if restarts:
        gateway.restart()
    assert gateway.takes("", a=10) == set()


def test_a_restore_of_long_ago_does_not_let_in_what_was_listed_since(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    assert gateway.takes("b\n", a=10) == {"b"}
    assert gateway.takes("a\nb\n", a=10) == {"a", "b"}
    assert gateway.takes("b\n", a=10) == {"a", "b"}


def test_what_is_remembered_is_read_back_or_told_to_be_damaged(tmp_path: Path) -> None:
    some = Remembered(frozenset({A, B}), {"a": 1.5})
    remember(tmp_path / "state", Remembered(), some)
    assert load_remembered(tmp_path / "state") == some
    assert load_remembered(tmp_path / "none") == Remembered()
    for name, content in (("denylist-file.seen", b"abc"), ("denylist-file.restored.json", b"[1")):
        (tmp_path / "state" / name).write_bytes(content)
        with pytest.raises(AmbassadorError, match=f"{name}: is damaged"):
            load_remembered(tmp_path / "state")
        (tmp_path / "state" / name).unlink()


def test_who_is_gone_is_named_with_what_to_do() -> None:
    many = frozenset(b"%040x" % number for number in range(1, 6))
    text = fault_of(many, Path("/etc/list"))
    assert "/etc/list no longer lists 1, 2, 3 and 2 more: they stay denied" in text
    assert text.endswith("device restore --serial 1`")
    assert fault_of(frozenset(), None) == ""
    assert "it is not set any more" in fault_of(many, None)
