"""Where features live: a shared store of vectors by content and encoder, and the matrices aligned to one data set.

`FeatureStore` holds each vector once, for everybody; `write_matrix` exports the rows of one data set in its order, and
every later stage reads only that file. Nothing here knows of stages or of the pipeline.
"""

from store.archive import UnsafeArchive
from store.backend import Backend, Entry
from store.compaction import Merge, compact
from store.conflicting import Conflict, conflicts
from store.encoder_log import EncoderLog
from store.errors import (
    CorruptMatrix,
    CorruptSegment,
    FingerprintMismatch,
    InvalidKey,
    InvalidRequest,
    InvalidVectors,
    RowsRemoved,
    SigningError,
    StoreError,
    StoreFull,
    StoreNotReadable,
    StoreNotWritable,
    StoreUnreachable,
    UnsupportedFormat,
    UnsupportedStore,
)
from store.explain import EncoderSummary, Holding, StoreStats, holdings, list_encoders, not_searched, parse_key, stats
from store.exposed import exposure, foreign_owner
from store.feature_store import FeatureStore
from store.fingerprint import Fingerprint
from store.garbage import GRACE_DAYS, Garbage, gc
from store.index import KeySet, Locations, locate
from store.key import KEY_BYTES, content_key, image_key, key_array, text_key
from store.local_backend import LocalBackend
from store.maintenance import Problem, verify
from store.matrix import write_matrix
from store.matrix_arrays import MatrixArray
from store.matrix_opening import open_matrix
from store.matrix_parts import MatrixBlock, MatrixHeader, MatrixInfo
from store.matrix_reader import Matrix
from store.object_backend import ObjectBackend
from store.plain_json import canonical_json
from store.publish import Durability, atomic_output, probe_writable
from store.repairing import Repair, repair
from store.rows import VectorType, cosines, row_problems
from store.segment import Segment, SegmentFormat
from store.sign_store import SignReport, sign_sound
from store.signing import AllowedSigners, Signer
from store.transfer import TransferReport, UnknownEncoder, export_store, import_store
from store.trash import Trashed, list_trash, restore
from store.verified import remember_verifications

__all__ = [
    "GRACE_DAYS",
    "KEY_BYTES",
    "AllowedSigners",
    "Backend",
    "Conflict",
    "CorruptMatrix",
    "CorruptSegment",
    "Durability",
    "EncoderLog",
    "EncoderSummary",
    "Entry",
    "FeatureStore",
    "Fingerprint",
    "FingerprintMismatch",
    "Garbage",
    "Holding",
    "InvalidKey",
    "InvalidRequest",
    "InvalidVectors",
    "KeySet",
    "LocalBackend",
    "Locations",
    "Matrix",
    "MatrixArray",
    "MatrixBlock",
    "MatrixHeader",
    "MatrixInfo",
    "Merge",
    "ObjectBackend",
    "Problem",
    "Repair",
    "RowsRemoved",
    "Segment",
    "SegmentFormat",
    "SignReport",
    "Signer",
    "SigningError",
    "StoreError",
    "StoreFull",
    "StoreNotReadable",
    "StoreNotWritable",
    "StoreStats",
    "StoreUnreachable",
    "TransferReport",
    "Trashed",
    "UnknownEncoder",
    "UnsafeArchive",
    "UnsupportedFormat",
    "UnsupportedStore",
    "VectorType",
    "atomic_output",
    "canonical_json",
    "compact",
    "conflicts",
    "content_key",
    "cosines",
    "export_store",
    "exposure",
    "foreign_owner",
    "gc",
    "holdings",
    "image_key",
    "import_store",
    "key_array",
    "list_encoders",
    "list_trash",
    "locate",
    "not_searched",
    "open_matrix",
    "parse_key",
    "probe_writable",
    "remember_verifications",
    "repair",
    "restore",
    "row_problems",
    "sign_sound",
    "stats",
    "text_key",
    "verify",
    "write_matrix",
]
