"""Where items come from, one file per source."""

from stages.prepare.sources.catalog import SOURCES
from stages.prepare.sources.protocol import Reject, Source, SourceRow

__all__ = ["SOURCES", "Reject", "Source", "SourceRow"]
