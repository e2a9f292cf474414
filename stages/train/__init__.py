"""Stage `train`: one experiment, a fusion and a head on cached features, over several seeds."""

from stages.train.params import TrainParams
from stages.train.run import TrainInputs, TrainOutputs, TrainSettings, restore, run

__all__ = ["TrainInputs", "TrainOutputs", "TrainParams", "TrainSettings", "restore", "run"]
