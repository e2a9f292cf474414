"""The errors a person meets: each says what was expected, what was found, what to do; its class is the exit code."""


class DiptychError(Exception):
    """Root of every error that a stage raises on purpose.

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
