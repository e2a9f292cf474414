"""Contents that get no vector: listed, remembered on this machine, and a failed run when there are too many."""

from __future__ import annotations

import csv
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.embed.params import EmbedParams
from stages.embed.request import Request
from stages.models.encoders.image.decoding import UndecodableImage
from store import Fingerprint
from store.errors import RunError
from store.files.outputs import safe_cell, write_json, write_lines
from store.files.reading import read_regular
from store.items.manifest import Manifest


def write_failures(path: Path, manifest: Manifest, request: Request, failures: Mapping[int, str]) -> None:
    """Write every item that got no vector, with the reason; only the header when there are none.

    Parameters
    ----------
    failures : mapping
        Position in the request -> reason.
    """
    with write_lines(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["id", "reason"])
        if failures:
            found = zip(manifest.ids(), request.inverse.tolist(), strict=True)
            writer.writerows((safe_cell(name), safe_cell(failures[at])) for name, at in found if at in failures)


def refuse_failures(params: EmbedParams, request: Request, failures: Mapping[int, str]) -> None:
    """Refuse to export a matrix that is not what was asked for.

    Raises
    ------
    RunError
        When more contents failed than `params.max_failed_share` allows, or the empty text did, which every missing
        text needs.
    """
    total = len(request.keys)
    if len(failures) > params.max_failed_share * total:
        reasons = sorted(set(failures.values()))[:3]
        raise RunError(
            f"embed: expected at most {params.max_failed_share:.0%} of the contents to fail; found {len(failures)} of "
            f"{total} ({'; '.join(reasons)}); mend the inputs or raise max_failed_share. "
            "The good rows are in the store."
        )
    if request.empty in failures:
        raise RunError(
            f"embed: expected a vector for the empty text, which stands in for missing texts; "
            f"found: {failures[request.empty]}; set `missing: zero`."
        )


REFUSED = "the encoder gave a "
"""How the reason begins of a row that the quality gate refused."""

_OF_CONTENT = (f"{UndecodableImage.__name__}: ", REFUSED)
# A vector that is not finite is computed again by torch, alone, before the gate refuses it (see `HeldNetwork`).
_LAST = "torch"
_MOST, _LONGEST = 100_000, 500  # entries, characters of a reason
_MOST_BYTES = 1 << 26
_BEGIN = 16  # digits of a key that are compared first: one machine word
_KEY = re.compile(r"[0-9a-f]{64}")
_LOG = logging.getLogger(__name__)

Keys = NDArray[np.uint8]
Chosen = NDArray[np.bool_]


@dataclass(frozen=True)
class KnownFailures:
    """The failures of one encoder, remembered on this machine in one small JSON file; only `--retry-failed` tries them.

    Only what lies in the content is remembered: a picture that cannot be decoded, a vector that the gate refused; a
    file that was lost or changed may be back at any time. The memory is no result: it says what a new try would say.

    Parameters
    ----------
    folder : Path or None
        Where the file lies; None remembers nothing.
    fingerprint : Fingerprint
        Whose failures: with other weights or another rule of decoding, everything is tried again.
    """

    folder: Path | None
    fingerprint: Fingerprint

    def recall(self, keys: Keys, missing: Chosen) -> dict[int, str]:
        """Return position -> reason of those `missing` contents ([U] of `keys` [U, 32]) that are known to fail."""
        known = self._read()
        return {at: known[_name(keys, at)] for at in _places(keys, missing, known)}

    @contextmanager
    def updated(self, keys: Keys, computed: Chosen, failures: Mapping[int, str]) -> Iterator[None]:
        """Remember, at the end of the block and however it ends, what failed in it, and forget what did not.

        Parameters
        ----------
        keys : ndarray of uint8, [U, 32]
        computed : ndarray of bool, [U]
            Which contents were tried; filled in the block.
        failures : mapping
            Position -> reason; filled in the block.
        """
        try:
            yield
        finally:
            if self.folder is not None:
                self._update(keys, computed, failures)

    def _update(self, keys: Keys, computed: Chosen, failures: Mapping[int, str]) -> None:
        before = self._read(quiet=True)
        mended = {_name(keys, at) for at in _places(keys, computed, before) if at not in failures}
        new = {_name(keys, at): why for at, why in failures.items() if computed[at] and _of_content(why)}
        now = {key: reason for key, reason in before.items() if key not in mended} | new
        if now != before:
            self._write(dict(list(now.items())[-_MOST:]))

    @property
    def _path(self) -> Path:
        return (self.folder or Path()) / f"{self.fingerprint.folder}.json"

    def _read(self, *, quiet: bool = False) -> dict[str, str]:
        if self.folder is None:
            return {}
        try:
            content = json.loads(read_regular(self._path, _MOST_BYTES))
            if content["fingerprint"] != self.fingerprint.digest:
                raise ValueError("it belongs to another encoder")  # noqa: TRY301 (one place says what follows)
            return _entries(content)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if not quiet:
                _LOG.warning("embed: %s is no list of known failures (%s): all are tried again", self._path, error)
            return {}

    def _write(self, known: Mapping[str, str]) -> None:
        try:
            content = {"failed": known, "fingerprint": self.fingerprint.digest, "pillow": version("pillow")}
            write_json(self._path, {**content, "last_tried_by": _LAST})
        except OSError as error:  # it costs the next run some time, and this one nothing
            _LOG.warning("embed: the failures of this run cannot be remembered in %s: %s", self._path, error)


def _name(keys: Keys, at: int) -> str:
    return bytes(keys[at]).hex()


def _places(keys: Keys, chosen: Chosen, known: Mapping[str, str]) -> list[int]:
    """Give the positions of those `chosen` keys that are known; of the others, millions, none is made a str."""
    if not known:
        return []
    begins = np.unique(np.array([int(name[:_BEGIN], 16) for name in known], dtype=np.uint64))
    words = np.ascontiguousarray(keys[:, : _BEGIN // 2]).view(">u8").ravel()
    alike = begins[np.minimum(np.searchsorted(begins, words), len(begins) - 1)] == words
    return [at for at in np.flatnonzero(alike & chosen).tolist() if _name(keys, at) in known]


def _of_content(reason: str) -> bool:
    return reason.startswith(_OF_CONTENT) and len(reason) <= _LONGEST


def _entries(content: Mapping[str, Any]) -> dict[str, str]:
    """Return key -> reason; none when another Pillow tried, for this one may decode more, or say it otherwise.

    What the gate refused counts only where torch tried last: other engines fail rows that it does not.

    Raises
    ------
    ValueError
        When an entry is none of ours.
    """
    failed = content["failed"]
    if not all(_KEY.fullmatch(key) and _of_content(reason) for key, reason in failed.items()):
        raise ValueError("it holds other entries")
    if content["pillow"] != version("pillow"):
        return {}
    if content.get("last_tried_by") == _LAST:
        return dict(failed)
    return {key: reason for key, reason in failed.items() if not reason.startswith(REFUSED)}
