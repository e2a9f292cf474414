"""Where features live: a shared store of vectors by content and encoder, and the matrices aligned to one data set.

`FeatureStore` holds each vector once, for everybody; `write_matrix` exports the rows of one data set in its order, and
every later stage reads only that file. Nothing here knows of stages or of the pipeline.
"""

from store.archive import UnsafeArchive
from store.backend import Backend, Entry
from store.encoder_log import EncoderLog
from store.errors import (
    CorruptMatrix,
    CorruptSegment,
    FingerprintMismatch,
    InvalidKey,
    InvalidVectors,
    StoreError,
    StoreFull,
    StoreNotReadable,
    StoreNotWritable,
    StoreUnreachable,
    UnsupportedFormat,
    UnsupportedStore,
)
from store.feature_store import FeatureStore
from store.fingerprint import Fingerprint
from store.index import Locations, locate
from store.key import KEY_BYTES, content_key, image_key, key_array, text_key
from store.local_backend import LocalBackend
from store.maintenance import EncoderSummary, Problem, StoreStats, list_encoders, stats, verify
from store.matrix import open_matrix, write_matrix
from store.matrix_parts import MatrixBlock, MatrixHeader, MatrixInfo
from store.matrix_reader import Matrix
from store.object_backend import ObjectBackend
from store.plain_json import canonical_json
from store.publish import Durability, atomic_output, probe_writable
from store.rows import VectorType, row_problems
from store.segment import Segment, SegmentFormat
from store.transfer import TransferReport, UnknownEncoder, export_store, import_store

__all__ = [
    "KEY_BYTES",
    "Backend",
    "CorruptMatrix",
    "CorruptSegment",
    "Durability",
    "EncoderLog",
    "EncoderSummary",
    "Entry",
    "FeatureStore",
    "Fingerprint",
    "FingerprintMismatch",
    "InvalidKey",
    "InvalidVectors",
    "LocalBackend",
    "Locations",
    "Matrix",
    "MatrixBlock",
    "MatrixHeader",
    "MatrixInfo",
    "ObjectBackend",
    "Problem",
    "Segment",
    "SegmentFormat",
    "StoreError",
    "StoreFull",
    "StoreNotReadable",
    "StoreNotWritable",
    "StoreStats",
    "StoreUnreachable",
    "TransferReport",
    "UnknownEncoder",
    "UnsafeArchive",
    "UnsupportedFormat",
    "UnsupportedStore",
    "VectorType",
    "atomic_output",
    "canonical_json",
    "content_key",
    "export_store",
    "image_key",
    "import_store",
    "key_array",
    "list_encoders",
    "locate",
    "open_matrix",
    "probe_writable",
    "row_problems",
    "stats",
    "text_key",
    "verify",
    "write_matrix",
]
