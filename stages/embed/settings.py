"""What does not change the vectors: where they are kept, which device computes, how often rows are committed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stages.contract import Executor
from stages.models.encoders.running.engines import Engine
from store import AllowedSigners, FeatureStore, SegmentFormat, Signer
from store.files.room import Policy


@dataclass(frozen=True)
class StorePlace:
    """A store in plain words, for another process to open; files are named in full, wherever that process stands.

    Attributes
    ----------
    root : str
        A folder, or ``s3://bucket/folder``.
    segment_format : {"zarr.zip", "h5"}
    cache, signing_key, allowed_signers : str or None
        See `FeatureStore`; of the keys the files, never what is in them.
    """

    root: str
    segment_format: SegmentFormat = "zarr.zip"
    cache: str | None = None
    signing_key: str | None = None
    allowed_signers: str | None = None

    def open(self) -> FeatureStore:
        """Open it.

        Raises
        ------
        StoreError
            When the address or a file of keys is wrong.
        """
        return FeatureStore(
            self.root,
            segment_format=self.segment_format,
            cache=None if self.cache is None else Path(self.cache),
            signer=None if self.signing_key is None else Signer.load(Path(self.signing_key)),
            trusted=None if self.allowed_signers is None else AllowedSigners.load(Path(self.allowed_signers)),
        )


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
    executor : Executor, optional
        Whose workers encode; without one, or with one that is not apart, this process does.
    place : StorePlace, optional
        Where those workers find `store`; needed with an executor that is apart.
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
    executor: Executor | None = None
    place: StorePlace | None = None
    preflight: Policy = "refuse"
