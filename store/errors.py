"""The errors a person meets: each says what was expected, what was found, what to do; its class is the exit code.

::

    DiptychError
    ├── InputError           (ValueError)       the input or the parameters are wrong
    ├── RunError             (RuntimeError)     the input was right and the run failed all the same
    │   └── UnitLost                            worker after worker died of one unit of work
    ├── ItemError            (ValueError)       one item cannot be used
    └── StoreError
        ├── CorruptSegment       (ValueError)       a segment's bytes are not what its name promises
        ├── CorruptMatrix        (ValueError)       a matrix file is torn, altered or not ours
        ├── RowsRemoved                             located rows are gone from the store
        ├── UnsupportedFormat    (ValueError)       written by a newer version
        ├── FingerprintMismatch  (ValueError)       a folder belongs to another encoder
        ├── InvalidVectors       (ValueError)       the caller's rows may not be stored
        ├── InvalidKey           (ValueError)       an item's content has no key
        ├── InvalidRequest       (ValueError)       maintenance was asked for something dangerous
        ├── UnsupportedStore     (ValueError)       the store's address is of a kind that is not served
        ├── UnknownEncoder       (LookupError)      the store holds no encoder of that name
        ├── UnsafeArchive        (ValueError)       a file given as an archive of a store is none of ours
        ├── SigningError         (ValueError)       a signing key or the list of trusted keys is missing or wrong
        ├── StoreUnreachable     (OSError)          the storage does not answer as it should
        ├── StoreNotReadable     (PermissionError)  no right to read here
        ├── StoreNotWritable     (PermissionError)  no right to write here
        └── StoreFull            (OSError)          no room left
"""


class DiptychError(Exception):
    """Root of every error that is raised on purpose.

    Attributes
    ----------
    exit_code : int
        What the command line returns: 2 for wrong input or usage, 1 for a failed run.
    """

    exit_code = 1


class InputError(DiptychError, ValueError):
    """The input or the parameters are wrong: nothing was computed, and the person can mend it."""

    exit_code = 2


class RunError(DiptychError, RuntimeError):
    """The input was right and the run failed all the same."""


class UnitLost(RunError):  # noqa: N818 (named for what happened)
    """Worker after worker died of the same unit of work.

    Attributes
    ----------
    unit : int
        Position of the unit among the tasks of the map.
    """

    def __init__(self, message: str, unit: int) -> None:
        super().__init__(message)
        self.unit = unit


class ItemError(DiptychError, ValueError):
    """One item cannot be used: it is counted with its reason and the run goes on."""


class StoreError(DiptychError):
    """Root of every error that the feature store and the matrices raise."""


class CorruptSegment(StoreError, ValueError):  # noqa: N818 (named for what it is, as the specification does)
    """A segment is truncated, altered, renamed or not of our format; its rows count as missing.

    Attributes
    ----------
    unread : bool
        Its bytes could not be read, so nothing is known of them: it is skipped, and nobody moves it away.
    """

    def __init__(self, message: str, *, unread: bool = False) -> None:
        super().__init__(message)
        self.unread = unread


class CorruptMatrix(StoreError, ValueError):  # noqa: N818
    """A matrix file is incomplete, altered or not of our format."""


class RowsRemoved(StoreError):  # noqa: N818
    """Rows that a lookup found were taken out of the store before they were read; another lookup misses them."""


class UnsupportedFormat(StoreError, ValueError):  # noqa: N818
    """The file was written by a newer version of Diptych than the one that reads it."""


class FingerprintMismatch(StoreError, ValueError):  # noqa: N818
    """An encoder's folder describes another encoder than the one that opens it."""


class InvalidVectors(StoreError, ValueError):  # noqa: N818
    """Vectors, keys or ids given by the caller may not be stored as they are."""


class InvalidKey(StoreError, ValueError):  # noqa: N818
    """An item's content cannot be keyed (text that has no UTF-8 form, a digest of the wrong size)."""


class InvalidRequest(StoreError, ValueError):  # noqa: N818
    """What was asked of the store's maintenance would do harm, or names nothing that is there."""

    exit_code = 2


class UnsupportedStore(StoreError, ValueError):  # noqa: N818
    """The address of the store is of a kind that this version does not serve."""

    exit_code = 2


class UnknownEncoder(StoreError, LookupError):  # noqa: N818
    """An encoder was asked for that the store does not hold."""

    exit_code = 2


class UnsafeArchive(StoreError, ValueError):  # noqa: N818
    """A file given as an archive of a store is none, or holds what an export never writes; nothing of it was used."""

    exit_code = 2


class SigningError(StoreError, ValueError):
    """A signing key or the list of allowed signers is missing or wrong; the message never quotes either."""

    exit_code = 2


class StoreUnreachable(StoreError, OSError):  # noqa: N818
    """The storage does not answer, or not as it should: no network, no such bucket, too many requests."""


class StoreNotReadable(StoreError, PermissionError):  # noqa: N818
    """The storage refuses reading: a missing right, or credentials that have expired."""


class StoreNotWritable(StoreError, PermissionError):  # noqa: N818
    """The folder refuses writing: a read-only file system or a missing right."""


class StoreFull(StoreError, OSError):  # noqa: N818
    """The disk or the quota has no room for what was to be written."""
