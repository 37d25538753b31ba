"""The command, as a process of its own."""

import datetime as dt
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from mtls_ambassador.cli import main
from mtls_ambassador.pki.issue import Validity, make_ca, make_server

COMMAND = [sys.executable, "-m", "mtls_ambassador", "sandbox"]
SYSTEM_CHOOSES = ["--listen", "127.0.0.1:0"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_told_to_end_and_exits_0(number: signal.Signals) -> None:
    with subprocess.Popen([*COMMAND, *SYSTEM_CHOOSES], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        first, second = process.stdout.readline(), process.stdout.readline()
        assert "for demos and tests only" in first
        assert re.fullmatch(r"user mtls@example.com  password \S{12,}\n", second)
        url = re.search(r"http://\S+", first)
        assert url
        with urllib.request.urlopen(url[0]) as response:  # noqa: S310 - our own server on loopback  # noqa: S310 - our own server on loopback
            assert response.status == 200
        process.send_signal(number)
        assert process.wait() == 0


def test_a_given_password_is_not_printed(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("hush-hush\n")
    options = [*COMMAND, *SYSTEM_CHOOSES, "--password-file", str(file)]
    with subprocess.Popen(options, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        lines = process.stdout.readline() + process.stdout.readline()
        process.terminate()
        assert "hush" not in lines


def test_a_taken_port_is_exit_1_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["sandbox", "--listen", f"127.0.0.1:{taken.getsockname()[1]}"]) == 1
    assert "address already in use" in capsys.readouterr().err


def test_wrong_usage_is_exit_2_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    validity = Validity.days(dt.datetime.now(dt.UTC), 2)
    ca = make_ca("ca", validity)
    one, two = (make_server(ca, ["localhost"], validity) for _ in range(2))
    cert, key, empty = str(tmp_path / "cert"), str(tmp_path / "key"), str(tmp_path / "empty")
    Path(cert).write_bytes(one.certificate_pem)
    Path(key).write_bytes(two.key_pem)
    Path(empty).write_text("\n")
    cases = [
        (["--listen", "nix"], "--listen nix"),
        (["--tls-cert", cert], "--tls-cert and --tls-key"),
        (["--tls-cert", empty, "--tls-key", key], "no PEM certificate"),
        (["--tls-cert", cert, "--tls-key", empty], "no unencrypted PEM private key"),
        (["--tls-cert", cert, "--tls-key", key], "is not the key of the certificate"),
        (["--tls-cert", cert + "x", "--tls-key", key], "does not exist"),
        (["--password-file", empty], "first line"),
        (["--download-base", "storage"], "--download-base storage"),
        (["--device-limit", "-2"], "--device-limit"),
    ]
    for options, text in cases:
        assert main(["sandbox", *options]) == 2
        assert text in capsys.readouterr().err
