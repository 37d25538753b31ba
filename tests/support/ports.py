"""TCP ports for servers that must be told theirs before they start."""

import os
import random
import socket

# Below the range from which Linux gives ports to clients (32768 and up), so that no connection of another test takes
# one between the look and the bind; a slice for each process of pytest-xdist, so that no two give the same.
_LOWEST, _SLICE = 10_000, 1_400
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 16
_ports = list(range(_LOWEST + _WORKER * _SLICE, _LOWEST + (_WORKER + 1) * _SLICE))
random.shuffle(_ports)


def free_port() -> int:
    """A port nobody listens on now, and which is given again only after all others of this process's slice."""
    for _ in range(len(_ports)):
        port = _ports.pop(0)
        _ports.append(port)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port among those of this process")
