"""Run by `test_matrix_cases` in a mount namespace of its own: export onto a real file system of 4 MB that is full.

Usage: full_disk_export.py FOLDER NAME. Prints, as JSON, what each of two exports raised and left behind.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

from store import MatrixBlock, MatrixHeader, write_matrix


def export(path: Path, rows: int) -> None:
    header = MatrixHeader([str(i) for i in range(rows)], 500, "float32", np.zeros(500))
    blocks = (
        MatrixBlock(np.ones((100, 500), "f4"), np.ones(100, bool), np.ones(100, bool)) for _ in range(rows // 100)
    )
    write_matrix(path, header, blocks, chunk_rows=100)


def attempt(path: Path) -> dict[str, object]:
    try:
        export(path, 10_000)  # 20 MB
        raised = "nothing"
    except Exception as error:  # noqa: BLE001 (whatever it is, the test looks at it)
        raised = f"{type(error).__name__}: {error}"
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.parent.iterdir()}
    return {"raised": raised, "files": files}


def main() -> None:
    folder, name = Path(sys.argv[1]), sys.argv[2]
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    export(folder / name, 500)  # 1 MB
    before = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest()}
    foreseen = attempt(folder / name)
    # Room that others take after it was asked for: the disk itself must say no.
    shutil.disk_usage = lambda _: shutil._ntuple_diskusage(1 << 40, 0, 1 << 40)
    unforeseen = attempt(folder / name)
    fresh = attempt(folder / f"fresh-{name}")
    sys.stdout.write(json.dumps({"before": before, "foreseen": foreseen, "unforeseen": unforeseen, "fresh": fresh}))


if __name__ == "__main__":
    main()
