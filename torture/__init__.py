"""Faults to order, against a real gateway under traffic, and a history that is checked afterwards: `make torture`."""

import sys
from pathlib import Path

# What the tests start gateways with is what torture starts them with.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
