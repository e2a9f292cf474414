"""Merges small segments into large ones: publish the merged one, read it back, and only then retire its inputs.

Rows of different provenance stay in different segments, so that each row's origin is still told by its segment. Two
janitors who see the same listing write the same files; whoever sees another one writes rows twice, which harms nobody.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from store.care.garbage import throw_away
from store.care.verify import row_damage
from store.errors import CorruptSegment, InvalidRequest, StoreError
from store.features.log import EncoderLog
from store.features.store import FeatureStore
from store.files.plain_json import canonical_json
from store.items.keys import sortable
from store.segments.segment import Segment, SegmentName, build_segment, rows_per_segment

TARGET_ROWS = 262_144


@dataclass(frozen=True)
class Merge:
    """Some segments that make one.

    Attributes
    ----------
    encoder_folder : str
    inputs : tuple of str
        Names of segments, in the order in which they came.
    rows : int
        As the names promise; a row that lies in several counts several times.
    output : str
        Name of the merged segment; "" in a dry run.
    """

    encoder_folder: str
    inputs: tuple[str, ...]
    rows: int
    output: str = ""


def compact(
    store: FeatureStore, *, apply: bool = False, encoder: str | None = None, target_rows: int = TARGET_ROWS
) -> list[Merge]:
    """Merge segments of less than half the target size.

    Parameters
    ----------
    store : FeatureStore
    apply : bool
        Without it, only say what would be merged.
    encoder : str, optional
        Only the encoders of this name, or the one with this folder's name.
    target_rows : int
        Rows of a merged segment at most; segments of large vectors stop at 64 MB.

    Returns
    -------
    list of Merge
        Done, or planned. A damaged segment is left where it is (see `repair`), and so is one that lookups do not see.
        Without trusted keys signed ones are left too: nobody could vouch for what they become.

    Raises
    ------
    InvalidRequest
        When there is no such encoder.
    SigningError
        When `apply` is on and lookups would not see what is merged, for want of a trusted key of ours.
    """
    if apply:
        store.signing.check_writer()
    merges: list[Merge] = []
    logs = [log for log in store.logs() if encoder in (None, log.fingerprint.encoder, log.fingerprint.folder)]
    if encoder is not None and not logs:
        raise InvalidRequest(f"expected an encoder of this store, found {encoder!r}; see `diptych store ls`")
    for log in logs:
        for inputs in _bunches(log, target_rows):
            merge = Merge(log.folder, tuple(str(name) for name in inputs), sum(name.rows for name in inputs))
            merges.append(_apply(store, log, merge) if apply else merge)
    return merges


def _bunches(log: EncoderLog, target_rows: int) -> Iterator[list[SegmentName]]:
    """Group small segments of equal provenance, in the order in which they came, up to the target.

    Rows that were computed one after the other are mostly neighbours in a data set too, whose export reads block by
    block: merged in any other order, it would read each merged segment again for nearly every block.
    """
    itemsize = np.dtype(log.dtype).itemsize
    capacity = min(target_rows, rows_per_segment(log.dim, itemsize))
    waiting: dict[bytes, list[SegmentName]] = {}
    untouchable = log.files.signatures.not_to_merge()
    for name, _ in sorted(log.files.entries(), key=lambda each: (each[1].modified, each[1].name)):
        if name.rows > capacity // 2 or str(name) in untouchable:
            continue
        try:
            segment = log.files.read(str(name))
        except (CorruptSegment, FileNotFoundError):
            continue
        if row_damage(segment, log.zero_legal):  # merged, one bad row would condemn all the others
            continue
        provenance = canonical_json(segment.provenance)
        bunch = waiting.setdefault(provenance, [])
        if sum(each.rows for each in bunch) + name.rows > capacity:
            yield from _worth_merging(bunch)
            bunch = waiting[provenance] = []
        bunch.append(name)
    for provenance in sorted(waiting):
        yield from _worth_merging(waiting[provenance])


def _worth_merging(bunch: list[SegmentName]) -> Iterator[list[SegmentName]]:
    if len(bunch) > 1:
        yield bunch


def _apply(store: FeatureStore, log: EncoderLog, merge: Merge) -> Merge:
    try:
        segments = [log.files.read(name) for name in merge.inputs]
    except (CorruptSegment, FileNotFoundError):
        return merge  # another janitor was faster, or it was damaged meanwhile: the next run sees what is left
    merged = merge_segments(segments)
    name, data = build_segment(store.segment_format, merged)
    log.files.publish(name, data, merged)
    _check_back(log, name, merged)
    log.files.signatures.sign_merged(name)
    now = store.backend.now()
    for retired in merge.inputs:
        if retired != name:
            throw_away(store.backend, log.files.path(retired), now)
    return Merge(merge.encoder_folder, merge.inputs, merge.rows, name)


def merge_segments(segments: list[Segment]) -> Segment:
    """Join segments of one provenance; of two rows for one key the one with the smaller digest stays.

    Parameters
    ----------
    segments : list of Segment
        At least one, all with the same provenance and fingerprint.
    """
    keys = np.concatenate([segment.keys for segment in segments])
    vectors = np.concatenate([segment.vectors for segment in segments])
    digests = np.concatenate([segment.row_digests for segment in segments])
    numbers = np.ascontiguousarray(digests).view(">u8").reshape(len(digests))
    order = np.argsort(numbers, kind="stable")
    order = order[np.argsort(sortable(keys[order]), kind="stable")]
    ordered = sortable(keys[order])
    first = np.ones(len(order), dtype=bool)
    first[1:] = ordered[1:] != ordered[:-1]
    kept = order[first]
    return Segment(keys[kept], vectors[kept], digests[kept], segments[0].provenance, segments[0].fingerprint)


def _check_back(log: EncoderLog, name: str, merged: Segment) -> None:
    """Read the merged segment from the storage before its inputs may go."""
    found = log.files.read(name)
    if not np.array_equal(found.keys, merged.keys) or not np.array_equal(found.row_digests, merged.row_digests):
        raise StoreError(
            f"expected the merged segment {name} to read as it was written, found other rows; nothing was removed: "
            "look at the storage, and run `diptych store verify --rows`"
        )
