"""The stage `split`: which items train, which choose, which test."""

from stages.split.params import SplitParams
from stages.split.run import run

__all__ = ["SplitParams", "run"]
