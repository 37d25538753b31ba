import re
import subprocess
import tomllib

import pytest

from mtls_ambassador.cli import COMMANDS
from unit.deploy.dockerfile import ROOT, is_ignored, read_stages

BUILD, IMAGE = read_stages()
EVERY = (BUILD, IMAGE)
TOOLS = r"\b(apt|apt-get|apk|gcc|g\+\+|make|uv|curl|wget|git)\b"


def test_bases_are_public_slim_and_pinned_to_one_python() -> None:
    for stage in EVERY:
        assert re.fullmatch(r"python:3\.\d+-slim-[a-z]+", stage.base), stage.base
    assert BUILD.base == IMAGE.base, "a venv works with the Python it was made by only"


def test_its_python_is_one_the_project_supports() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    least = tuple(int(part) for part in project["requires-python"].removeprefix(">=").split("."))
    assert tuple(int(part) for part in IMAGE.base.split(":")[1].split("-")[0].split(".")) >= least


@pytest.mark.parametrize("text", [run.text for stage in EVERY for run in stage.all("RUN")])
def test_shell_lines_are_shell(text: str) -> None:
    subprocess.run(["bash", "-n", "-c", text], check=True)
    assert ";" not in text, "join by && so that a failure ends the build"


def test_every_copied_path_exists_and_is_in_the_context() -> None:
    copies = [copy for stage in EVERY for copy in stage.all("COPY") if "from" not in copy.flags]
    sources = [source for copy in copies for source in copy.text.split()[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not is_ignored(source), source


@pytest.mark.parametrize(
    "path", [".git/config", ".venv/bin/python", "tests/unit", "deploy/docker/mender-pass", "ca.key"]
)
def test_what_is_no_source_stays_out_of_the_context(path: str) -> None:
    assert is_ignored(path)


def test_compiled_python_stays_out_of_the_context() -> None:
    assert is_ignored("src/mtls_ambassador/__pycache__/cli.pyc")
    assert not is_ignored("src/mtls_ambassador/cli/run.py")


def test_everything_installed_is_locked_by_hash_and_nothing_is_compiled() -> None:
    for run in BUILD.all("RUN"):
        for command in re.findall(r"pip (?:--python \S+ )?(install|wheel)([^&]*)", run.text):
            is_locked = "--require-hashes --no-deps" in command[1] and "--only-binary :all:" in command[1]
            is_ours = "--no-index" in command[1] and "--no-deps" in command[1]
            assert is_locked or is_ours, command


def test_build_lock_fits_the_build_system() -> None:
    (required,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    name, least = required.split(">=")
    found = re.search(rf"^{name}==(\S+)", (ROOT / "requirements-build.lock").read_text(), re.MULTILINE)
    assert found
    assert tuple(map(int, found[1].split("."))) >= tuple(map(int, least.split(".")))


def test_image_holds_nothing_to_install_or_build_with() -> None:
    for run in IMAGE.all("RUN"):
        assert not re.search(TOOLS, run.text)
        assert "pip install" not in run.text
    (copy,) = IMAGE.all("COPY")
    assert copy.flags == {"from": BUILD.name}
    removed = IMAGE.all("RUN")[0].text
    for path in (
        "/usr/local/bin/pip*",
        "/usr/local/lib/python3*/ensurepip",
        "/usr/local/lib/python3*/site-packages/pip*",
    ):
        assert path in removed
    assert "venv --without-pip /opt/mtls-ambassador" in BUILD.all("RUN")[0].text


def test_image_fails_to_build_without_the_trust_store() -> None:
    assert "test -s /etc/ssl/certs/ca-certificates.crt" in IMAGE.all("RUN")[0].text


def test_nobody_runs_it() -> None:
    assert IMAGE.only("USER").text == "65534:65534"
    after = IMAGE.instructions[IMAGE.instructions.index(IMAGE.only("USER")) :]
    assert not {"RUN", "COPY", "ADD"} & {item.word for item in after}


def test_commands_are_in_exec_form_and_exist() -> None:
    assert IMAGE.only("ENTRYPOINT").argv == ["mtls-ambassador"]
    assert IMAGE.only("CMD").argv == ["run"]
    health = IMAGE.only("HEALTHCHECK")
    assert health.argv == ["mtls-ambassador", "status"]
    assert set(health.flags) == {"interval", "timeout", "start-period", "retries"}
    assert {"run", "status"} <= COMMANDS.keys()
    assert IMAGE.only("STOPSIGNAL").text == "SIGTERM"
