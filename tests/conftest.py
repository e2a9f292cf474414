"""What holds for all tests: threads sleep while they wait, so that tests in several processes do not starve."""

from __future__ import annotations

import os

# Read when OpenMP is loaded, and so before torch is imported; the command line sets the same.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
