"""Stage `embed`: one encoder over one field of every item, through the store, into a dataset-aligned matrix."""

from stages.embed.params import EmbedParams
from stages.embed.run import EmbedInputs, EmbedOutputs, EmbedResult, EmbedSettings, run

__all__ = ["EmbedInputs", "EmbedOutputs", "EmbedParams", "EmbedResult", "EmbedSettings", "run"]
