"""Stage `fuse`: join several matrices into one, without labels, so that any head or search can use the result."""

from stages.fuse.params import FuseParams
from stages.fuse.run import FuseInputs, FuseOutputs, run

__all__ = ["FuseInputs", "FuseOutputs", "FuseParams", "run"]
