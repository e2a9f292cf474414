"""A fine-tuned transformer, read from what `fit` wrote: its vectors, or the scores of the classes it was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

