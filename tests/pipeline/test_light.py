"""Reading params.yaml stays light: every stage of a run pays for what it imports."""

from __future__ import annotations

import subprocess
import sys


def test_the_command_line_imports_nothing_heavy() -> None:
    heavy = ("torch", "transformers", "timm", "sklearn", "scipy", "matplotlib", "skorch", "zarr", "gensim", "cv2")
    heavy = (*heavy, "distributed", "dask")
    code = f"import sys, pipeline.cli; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
