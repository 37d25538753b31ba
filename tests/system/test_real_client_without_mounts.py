"""Where mount namespaces are refused, as in most containers, the real client runs all the same and leaves nothing."""

import os
import subprocess
import sys
from pathlib import Path

from mtls_ambassador.sandbox.real_isolation import LINKS

WITHOUT = ("setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin")
OTHER_TESTS = Path(__file__).with_name("test_real_client_enrols.py")


def test_the_real_client_lives_its_life_without_cap_sys_admin() -> None:
    refused = subprocess.run([*WITHOUT, "unshare", "--mount", "true"], capture_output=True, check=False)
    assert refused.returncode != 0
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "p256", str(OTHER_TESTS)]
    done = subprocess.run([*WITHOUT, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
    assert not [path for _, path in LINKS if os.path.lexists(path)]
