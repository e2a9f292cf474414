"""Where features live: a shared store of vectors by content and encoder, and the matrices aligned to one data set.

`FeatureStore` holds each vector once, for everybody; `write_matrix` exports the rows of one data set in its order, and
every later stage reads only that file. Nothing here knows of stages or of the pipeline.
"""

from store.backends.local import LocalBackend, exposure, foreign_owner
from store.backends.objects import ObjectBackend
from store.backends.protocol import Backend, Entry
from store.care.compaction import Merge, compact
from store.care.conflicts import Conflict, conflicts
from store.care.garbage import GRACE_DAYS, Garbage, Trashed, gc, list_trash, restore
from store.care.inventory import (
    EncoderSummary,
    Holding,
    StoreStats,
    holdings,
    list_encoders,
    not_searched,
    parse_key,
    stats,
)
from store.care.transfer import TransferReport, export_store, import_store
from store.care.verify import Repair, SignReport, Unsound, repair, sign_sound, verify
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
    UnknownEncoder,
    UnsafeArchive,
    UnsupportedFormat,
    UnsupportedStore,
)
from store.features.fingerprint import Fingerprint
from store.features.index import KeySet, Locations, locate
from store.features.log import EncoderLog
from store.features.store import FeatureStore
from store.files.plain_json import canonical_json
from store.files.publish import Durability, atomic_output, probe_writable
from store.items.keys import KEY_BYTES, content_key, image_key, key_array, text_key
from store.items.vectors import VectorType, cosines, row_problems
from store.matrices.arrays import MatrixArray
from store.matrices.contents import MatrixBlock, MatrixHeader, MatrixInfo
from store.matrices.opening import open_matrix
from store.matrices.reader import Matrix
from store.matrices.writing import write_matrix
from store.segments.segment import Segment, SegmentFormat
from store.trust.signing import AllowedSigners, Signer
from store.trust.verified import remember_verifications

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
    "Unsound",
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
