"""Where items come from, one file per source."""

from stages.prepare.sources.catalog import SOURCES
from stages.prepare.sources.protocol import Reject, Skip, Source, SourceRow

__all__ = ["SOURCES", "Reject", "Skip", "Source", "SourceRow"]
