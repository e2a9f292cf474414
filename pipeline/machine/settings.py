"""What a machine decides and no result depends on: read from `DIPTYCH_*` and local.toml, never from params.yaml."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from pipeline.machine.setting_paths import PATHS, allowed_signers, expanded, from_original
from pipeline.paths import original_of
from stages.contract import Executor
from stages.embed.settings import EmbedSettings, StorePlace
from stages.models.catalog import did_you_mean
from store import FeatureStore, SegmentFormat
from store.errors import InputError

_PREFIX = "DIPTYCH_"


def _split(roots: object) -> object:
    """Part the folders of an environment variable as those of PATH are."""
    return roots.split(os.pathsep) if isinstance(roots, str) else roots


def _narrow(roots: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Give the folders in full, and refuse those that would trust everything."""
    context = info.context or {}
    base, environment = context.get("base", ""), context.get("environment", {})
    full = tuple(_in_full(base, expanded(root, environment)) for root in roots)
    for root, path in zip(roots, full, strict=True):
        if not root.strip() or Path(path).resolve() == Path("/"):
            raise ValueError(f"expected folders that links of pictures may lead to, found {root!r}; name the narrowest")
    return full


class Settings(BaseModel):
    """One machine's settings; an environment variable `DIPTYCH_<NAME>` wins over local.toml.

    Paths may hold variables ($HOME) and begin with ~; relative ones start at the project's root.

    Attributes
    ----------
    store : str
        Root of the feature store: a local or shared folder, or ``s3://bucket/folder``.
    device : str
        auto, cpu, cuda or cuda:<n>.
    engine : {"auto", "torch", "openvino"}
        What runs networks: auto is OpenVINO on a processor, torch on a GPU.
    workers : int
        Threads that read, decode and tokenise ahead of the model.
    commit_seconds : float
        Finished rows of `embed` are published at least this often; `fit`, `fuse` and `train` save their state after the
        first epoch that ends so much later than the last state.
    cache : str
        A local folder for what can be made again at any time, such as the index of the store.
    signing_key : str or None
        The file of our private key: what we add to the store is signed with it.
    allowed_signers : str or None
        The list of the keys whose segments are seen; when left out, the project's file of that name if there is one.
    spill : str
        A local folder that takes finished rows when the store fails in the middle of a run.
    failed : str
        A local folder that remembers which contents cannot be embedded.
    executor : {"serial", "dask"}
        Whether this process computes, or workers of dask.distributed.
    dask : str
        Address of their scheduler, tcp://host:port or tls://host:port; empty to start workers on this machine.
    dask_workers : int or None
        How many to start here; when left out, one for each GPU, and a fourth of the cores, at least two, without any.
    dask_tls_ca, dask_tls_cert, dask_tls_key : str or None
        Files by which the scheduler knows us, and we it, for tls://; when left out, dask's own configuration has them.
    trusted_roots : tuple of str
        Folders that symbolic links of pictures may lead to besides the folder of the pictures, in full; in the
        environment parted by colons, as those of PATH are.
    log_json : str or None
        A file that gets the structured log of every run, besides .diptych/logs/runs.jsonl.
    preflight : {"refuse", "warn", "off"}
        What becomes of a run that would not fit onto the disk or into memory.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    store: str = ".diptych/store"
    device: str = "auto"
    engine: Literal["auto", "torch", "openvino"] = "auto"
    workers: int = Field(default_factory=lambda: min(8, os.cpu_count() or 1), ge=1)
    commit_seconds: float = Field(default=5.0, gt=0)
    cache: str = ".diptych/cache"
    signing_key: str | None = None
    allowed_signers: str | None = None
    spill: str = ".diptych/spill"
    failed: str = ".diptych/failed"
    executor: Literal["serial", "dask"] = "serial"
    dask: str = Field(default="", pattern=r"^((tcp|tls)://[^\s/]+:\d+)?$")
    dask_workers: int | None = Field(default=None, ge=1)
    dask_tls_ca: str | None = None
    dask_tls_cert: str | None = None
    dask_tls_key: str | None = None
    trusted_roots: Annotated[tuple[str, ...], BeforeValidator(_split), AfterValidator(_narrow)] = ()
    log_json: str | None = None
    preflight: Literal["refuse", "warn", "off"] = "refuse"

    @field_validator(*PATHS)
    @classmethod
    def _expanded(cls, path: str | None, info: ValidationInfo) -> str | None:
        return None if path is None else expanded(path, (info.context or {}).get("environment", {}))

    def feature_store(self, segment_format: SegmentFormat) -> FeatureStore:
        """Return the store that this machine uses, with the keys it signs with and trusts.

        Raises
        ------
        StoreError
            When the address or a file of keys is wrong.
        InputError
            When the project's list of trusted keys is that of an older version.
        """
        return self.store_place(segment_format).open()

    def store_place(self, segment_format: SegmentFormat) -> StorePlace:
        """Return the same store in words that another process can open it by, wherever that stands."""
        return StorePlace(
            self.store if "://" in self.store else _in_full(self.store),
            segment_format,
            cache=_in_full(self.cache, "index"),
            signing_key=None if self.signing_key is None else _in_full(self.signing_key),
            allowed_signers=self._trusted(),
        )

    def _trusted(self) -> str | None:
        listed = allowed_signers(Path()) if self.allowed_signers is None else self.allowed_signers
        return None if listed is None else _in_full(listed)

    def spill_store(self, segment_format: SegmentFormat) -> FeatureStore:
        """Return the local store for rows that the shared one did not take; its folder is made when it is needed."""
        # In full, because a person is told to import it, wherever they stand.
        return FeatureStore(Path(self.spill).expanduser().absolute(), segment_format=segment_format)

    def embed_settings(
        self, segment_format: SegmentFormat, executor: Executor, *, retry_failed: bool = False
    ) -> EmbedSettings:
        """Return the machine's part of one run of `embed`.

        Raises
        ------
        StoreError
            When the address of the store or a file of keys is wrong.
        """
        place = self.store_place(segment_format)
        return EmbedSettings(
            place.open(),
            self.device,
            self.engine,
            self.workers,
            self.commit_seconds,
            spill=self.spill_store(segment_format),
            failed=self.failed_folder(),
            retry_failed=retry_failed,
            executor=executor,
            place=place,
            preflight=self.preflight,
        )

    def failed_folder(self) -> Path:
        """Return the folder that remembers which contents cannot be embedded; it is made when it is needed."""
        return Path(self.failed).expanduser()


def _in_full(*parts: str | Path) -> str:
    return str(Path(*parts).expanduser().absolute())


def load_settings(local: Path, environment: Mapping[str, str]) -> Settings:
    """Merge local.toml and the environment; in a copy that DVC made for one experiment, those of the project behind it.

    Raises
    ------
    InputError
        When a name is unknown or a value is wrong; nothing is ignored.
    """
    home = original_of(local.absolute().parent, environment)
    local = local if home is None else home / local.name
    from_environment = {
        name.removeprefix(_PREFIX).lower(): value for name, value in environment.items() if name.startswith(_PREFIX)
    }
    try:
        settings = Settings.model_validate(
            {**_read_toml(local), **from_environment}, context={"environment": environment, "base": home or ""}
        )
    except ValidationError as error:
        lines = [_line(each["loc"], each["msg"], from_environment, local) for each in error.errors()]
        raise InputError("settings:\n" + "\n".join(f"  {line}" for line in lines)) from None
    if home is None:
        return settings
    return settings.model_copy(update=from_original({name: getattr(settings, name) for name in PATHS}, home))


def _line(location: tuple[int | str, ...], message: str, from_environment: Mapping[str, str], local: Path) -> str:
    name = str(location[0])
    where = f"{_PREFIX}{name.upper()}" if name in from_environment else f"{local}: {name}"
    if name not in Settings.model_fields:
        known = list(Settings.model_fields)
        if name in from_environment:
            known = [f"{_PREFIX}{each.upper()}" for each in known]
        wanted = f"{_PREFIX}{name.upper()}" if name in from_environment else name
        return f"{where}: unknown{did_you_mean(wanted, known)}; expected one of {known}"
    return f"{where}: {message.removeprefix('Value error, ')}"


def _read_toml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8-sig"))  # some editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected UTF-8; found other bytes ({error.reason}); save it as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: expected TOML; found: {error}; mend it or delete it.") from None
