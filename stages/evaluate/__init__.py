"""Stage `evaluate`: turn one experiment's predictions into metrics, a per-class table and a confusion list."""

from stages.evaluate.params import EvaluateParams
from stages.evaluate.run import EvaluateInputs, EvaluateOutputs, run

__all__ = ["EvaluateInputs", "EvaluateOutputs", "EvaluateParams", "run"]
