"""A disk that is full stops `pki device` with a reason; with room again, the same command finishes the job."""

from pathlib import Path

from support.pki_cli import PkiCli


def test_it_fails_with_a_reason_and_goes_on_later(tmp_path: Path) -> None:
    cli = PkiCli(tmp_path)
    cli.run("init", "--single", "--no-passphrase")
    for blocks in (0, 1, 20, 60):
        # Without coverage, which writes a file of its own and would meet the limit too.
        limited = ("bash", "-c", 'unset "${!COVERAGE@}"; ulimit -f "$1"; shift; exec "$@"', "limit", str(blocks))
        process = cli.start("device", "dev-1", prefix=limited)
        _, said = process.communicate(timeout=60)
        assert process.returncode in {0, 1}, said
        assert "Traceback" not in said
        if process.returncode:
            assert "mtls-ambassador: " in said
    cli.run("device", "dev-1")
    done = [item for item in cli.records() if item["name"] == "dev-1" and item["status"] == "done"]
    assert len(done) == 1
