"""What holds for all tests: several processes share the cores, so each takes one thread, and none spins in waiting."""

from __future__ import annotations

import os
from importlib import import_module

import pytest

from tests.processors.share import SHARE, drawn
from tests.rules import dear

# Read when OpenMP is loaded, and so before torch is imported; the command line sets the same.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.pop("COLUMNS", None)  # 80, set by xdist: tables would be folded as nowhere else
if "DIPTYCH_TEST_REORDERED" in os.environ:
    import_module("tests.processors.reordered")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is dear, and leave out the cases that a combination of `tests.processors` does not take."""
    dear.mark(items)
    if SHARE in os.environ:
        chosen = drawn([item.nodeid for item in items], os.environ[SHARE])
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in chosen])
        items[:] = [item for item in items if item.nodeid in chosen]
