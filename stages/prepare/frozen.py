"""The manner of every section of params that `prepare` reads: frozen, and no key that nobody knows."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Base of the sections."""

    model_config = ConfigDict(frozen=True, extra="forbid")
