"""Stage `train`: one experiment, a fusion and a head on cached features, over several seeds."""

from stages.train.params import TrainParams
from stages.train.run import TrainInputs, TrainOutputs, TrainSettings, run

__all__ = ["TrainInputs", "TrainOutputs", "TrainParams", "TrainSettings", "run"]
