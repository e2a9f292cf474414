#!/usr/bin/env bash
# OpenVINO's ReLU on a processor turns NaN into 0. torch, numpy.maximum and ONNX's reference keep NaN. So a network with a
# NaN in its weights gives finite vectors: nothing behind it can see that something is wrong.
# Guess before running: NaN in, NaN out, as everywhere else.
# Seen: openvino 2026.4.1 with numpy 2.4.0 gives [0, 0, 2] for [NaN, -1, 2]; a multiplication in the same model keeps NaN.
# Whoever loads weights should look for NaN and infinity in them before they are converted.
# Fails when this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/python" -m pip install --quiet --disable-pip-version-check "openvino==2026.4.1" "numpy==2.4.0"
cat > "$work/try.py" <<'PY'
import numpy as np
import openvino
from openvino import opset8 as ops

given = np.array([[np.nan, -1.0, 2.0]], np.float32)
numbers = ops.parameter([1, 3], np.float32)
both = openvino.Model([ops.relu(numbers), ops.multiply(numbers, np.float32(2.0))], [numbers], "both")
relu, doubled = openvino.Core().compile_model(both, "CPU")(given).values()
print("openvino", openvino.__version__, "numpy", np.__version__)
print("  relu", relu.tolist(), "doubled", doubled.tolist(), "numpy.maximum", np.maximum(given, 0).tolist())
assert relu.tolist() == [[0.0, 0.0, 2.0]], "changed: ReLU keeps NaN now"
assert np.isnan(doubled[0, 0]), "changed: a product of NaN is none"
assert np.isnan(np.maximum(given, 0)[0, 0])
PY
"$work/env/bin/python" "$work/try.py"
