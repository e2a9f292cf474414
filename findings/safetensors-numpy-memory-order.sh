#!/usr/bin/env bash
# safetensors.numpy.save() writes an array that is not in C order as if it were: numbers come back in other places, and
# nothing is raised. Guess before running: it copies such an array into C order, as numpy.save() keeps its order, or
# refuses it.
# Seen: safetensors 0.8.0 with numpy 2.4.0 gives back [[0, 3, 1], [4, 2, 5]] for a Fortran-ordered [[0, 1, 2], [3, 4, 5]];
# 0.7.0 gives back what was saved. What scikit-learn fits (components_ of a PCA, for one) is often in Fortran order. Whoever
# calls numpy.ascontiguousarray() first is safe with both.
# Fails when this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
cat > "$work/try.py" <<'PY'
import sys
import numpy as np
import safetensors
from safetensors.numpy import load, save

expected_wrong = sys.argv[1] == "wrong"
plain = np.arange(6, dtype=np.float32).reshape(2, 3)
fortran = np.asfortranarray(plain)
print("safetensors", safetensors.__version__, "numpy", np.__version__)
for name, array in (("C order", plain), ("Fortran order", fortran)):
    found = load(save({"x": array}))["x"]
    same = np.array_equal(found, array)
    print(f"  {name}: saved {array.tolist()}, loaded {found.tolist()}")
    assert same == (name == "C order" or not expected_wrong), f"changed: {name} is {'the same' if same else 'another'}"
assert np.array_equal(load(save({"x": np.ascontiguousarray(fortran)}))["x"], fortran)
PY
for case in "0.8.0 wrong" "0.7.0 right"; do
  set -- $case
  "$work/env/bin/python" -m pip install --quiet --disable-pip-version-check "safetensors==$1" "numpy==2.4.0"
  "$work/env/bin/python" "$work/try.py" "$2"
done
