"""Stage `fit`: train an encoder on train rows before `embed`; its catalogue is empty until the fitted encoders land."""

from stages.fit.params import FitParams
from stages.fit.run import run

__all__ = ["FitParams", "run"]
