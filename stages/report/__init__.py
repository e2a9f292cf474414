"""`report`: one page and one table that say what a run did and how well; called by `pipeline`."""

from stages.report.params import ReportParams
from stages.report.run import ReportInputs, ReportOutputs, run

__all__ = ["ReportInputs", "ReportOutputs", "ReportParams", "run"]
