#!/usr/bin/env bash
# A LocalCluster of dask.distributed with worker processes changes the environment of the process that starts it, and
# leaves it so when it is closed: PYTHONHASHSEED is a fixed number from then on, and MKL and OpenBLAS have one thread.
# Every command started afterwards inherits both, though it has nothing to do with dask: sets iterate in the same order
# in each run, so a test that looks for dependence on that order can see none, and numeric programs lose their threads.
# Guess before running: what workers need is given to workers, or taken back when the cluster closes.
# Seen: distributed and dask 2026.8.0 leave MALLOC_TRIM_THRESHOLD_, MKL_NUM_THREADS, OPENBLAS_NUM_THREADS,
# OMP_NUM_THREADS and PYTHONHASHSEED=6640.
# Whoever starts programs after a cluster should give them an environment that was kept before.
# Fails when this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check "distributed==2026.8.0" "dask==2026.8.0"
cat > "$work/try.py" <<'PY'
import os
import subprocess
import sys

import distributed

NAMES = ("MALLOC_TRIM_THRESHOLD_", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED")

if __name__ == "__main__":
    before = {name: os.environ.pop(name, None) for name in NAMES}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None):
        pass
    left = {name: os.environ.get(name) for name in NAMES}
    print("distributed", distributed.__version__, "leaves", left)
    orders = {subprocess.check_output([sys.executable, "-c", "print(hash('a'))"]) for _ in range(3)}
    print("  hash('a') in three later processes:", len(orders), "value(s)")
    assert left["PYTHONHASHSEED"] == "6640", "changed: the seed of hashes is free again"
    assert left["MKL_NUM_THREADS"] == left["OPENBLAS_NUM_THREADS"] == "1", "changed: threads are free again"
    assert len(orders) == 1
PY
(cd "$work" && "$work/env/bin/python" try.py)
