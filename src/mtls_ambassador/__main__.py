"""`python -m mtls_ambassador` is `mtls-ambassador`."""

import sys

from mtls_ambassador.cli import main

sys.exit(main())
