"""`retrieve`: rank gallery items by nearness to each query and score the ranking; called by `pipeline`."""

from stages.retrieve.params import RetrieveParams
from stages.retrieve.run import RetrieveInputs, RetrieveOutputs, run

__all__ = ["RetrieveInputs", "RetrieveOutputs", "RetrieveParams", "run"]
