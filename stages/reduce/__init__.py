"""Stage `reduce`: project one matrix onto fewer dimensions, fitted on its train rows."""

from stages.reduce.params import ReduceParams
from stages.reduce.run import ReduceInputs, ReduceOutputs, run

__all__ = ["ReduceInputs", "ReduceOutputs", "ReduceParams", "run"]
