"""The stage `prepare`: from a source to the manifest that every other stage reads."""

from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs, run
from stages.prepare.sources import SOURCES
from stages.prepare.summary import PrepareSummary

__all__ = ["SOURCES", "PrepareOutputs", "PrepareParams", "PrepareSummary", "run"]
