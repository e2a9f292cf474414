"""What does not change the vectors: where they are kept, which device computes, how often rows are committed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stages.encoders.device import Engine
from stages.room import Policy
from store import FeatureStore


@dataclass(frozen=True)
class EmbedSettings:
    """The machine's part of one `embed` run.

    Attributes
    ----------
    store : FeatureStore
    device : str
        auto, cpu, cuda or cuda:<n>.
    engine : {"auto", "torch", "openvino"}
        What runs networks.
    workers : int
        Threads that read, decode and tokenise ahead of the model.
    commit_seconds, commit_bytes : float, int
        Finished rows are published, and those of others looked up, when either is reached.
    spill : FeatureStore, optional
        A local store that takes the finished rows when `store` fails in the middle of a run.
    failed : Path, optional
        A local folder that remembers which contents cannot be embedded.
    retry_failed : bool
        Try those again all the same.
    preflight : {"refuse", "warn", "off"}
        What becomes of a run for whose rows and matrix there is no room.
    """

    store: FeatureStore
    device: str = "auto"
    engine: Engine = "auto"
    workers: int = 2
    commit_seconds: float = 5.0
    commit_bytes: int = 32 << 20
    spill: FeatureStore | None = None
    failed: Path | None = None
    retry_failed: bool = False
    preflight: Policy = "refuse"
