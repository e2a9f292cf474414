"""Loading a transformer prints nothing of the library's: a notice on every run teaches people to overlook notices."""

from __future__ import annotations

import subprocess
import sys

from stages.models.encoders.text.transformer import _without_loss

# Before anything of transformers is imported, as in a stage: each of its notices comes once a process.
_SCRIPT = """
import logging
from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.protocol import Placement

encoder = build_encoder("minilm", EncoderChoice())
encoder.load(Placement("cpu", "openvino", "exact"))
assert encoder.encode(encoder.prepare(["a snowman"])).shape[1] == 384
assert encoder.identity()
logger = logging.getLogger("transformers")
assert logger.isEnabledFor(logging.WARNING) and logger.handlers, "silence is no answer: other notices must be heard"
"""


def test_transformers_has_nothing_to_say() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = (done.stdout + done.stderr).splitlines()
    assert not [line for line in said if "transformers" in line or "loss" in line]


def test_each_part_that_is_a_model_by_itself_is_asked_for_no_loss() -> None:
    from transformers import T5Config, T5EncoderModel

    network = T5EncoderModel(T5Config(vocab_size=8, d_model=4, d_kv=2, d_ff=4, num_layers=1, num_heads=2))
    _without_loss(network)
    assert [part.loss_function for part in (network, network.encoder)] == [None, None]
