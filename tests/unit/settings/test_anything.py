"""Whatever is in the environment or the file: settings, or faults; never another error, and never two meanings."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.settings.load import load
from mtls_ambassador.settings.names import KNOWN_NAMES
from mtls_ambassador.settings.table import SETTINGS

TEXTS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["true", "0", "1", ":80", "[::1]:80", "https://h", "1m", "61", "{cn}", "a={cn}", "/", ".", "1.2"]),
)
ENVIRONMENTS = st.dictionaries(st.sampled_from(sorted(KNOWN_NAMES)), TEXTS, max_size=12)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))
PATHS = st.sampled_from(sorted({item.json for item in SETTINGS if item.json}))


def nested(flat: dict[str, object]) -> dict[str, object]:
    tree: dict[str, object] = {}
    for path, value in flat.items():
        *above, last = path.split(".")
        place = tree
        for name in above:
            below = place.setdefault(name, {})
            assert isinstance(below, dict)
            place = below
        place[last] = value
    return tree


def faults(environ: dict[str, str], config: Path) -> list[str]:
    try:
        loaded = load(environ, config_file=config)
    except FaultsError as error:
        return error.faults
    assert set(loaded.origins) <= {item.field for item in SETTINGS}
    return []


FAST = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@FAST
@given(changes=ENVIRONMENTS, flat=st.dictionaries(PATHS, VALUES, max_size=6))
def test_settings_or_faults(
    environ: dict[str, str], tmp_path: Path, changes: dict[str, str], flat: dict[str, object]
) -> None:
    config = tmp_path / "g.conf"
    config.write_text(json.dumps(nested(flat)))
    assert faults(changes, config)
    assert all(fault.isprintable() for fault in faults({**environ, **changes}, config))


@FAST
@given(content=st.binary(max_size=60))
def test_any_file_content(environ: dict[str, str], tmp_path: Path, content: bytes) -> None:
    config = tmp_path / "g.conf"
    config.write_bytes(content)
    assert all(str(config) in fault for fault in faults(environ, config))


@pytest.mark.parametrize("content", ['{"HTTPS": ' + "9" * 5000 + "}", '{"HTTPS": {"Listen": NaN}}', '"\\ud800"'])
def test_odd_json(environ: dict[str, str], tmp_path: Path, content: str) -> None:
    config = tmp_path / "g.conf"
    config.write_text(content)
    with pytest.raises(FaultsError, match=r"g\.conf"):
        load(environ, config_file=config)
