"""What the store has of a request, looked up once and then kept up with; a `worker` asks it for each portion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from stages.embed.elsewhere import Elsewhere
from stages.embed.request import Request, Rows
from store import EncoderLog


class Stored:
    """Which contents of a request lie in a log; each segment is looked at once, however many portions there are.

    Parameters
    ----------
    log : EncoderLog
    request : Request
    """

    def __init__(self, log: EncoderLog, request: Request) -> None:
        self._elsewhere = Elsewhere(log, request.keys)
        self._found = log.locate(request.keys).found

    def missing(self, places: Rows) -> NDArray[np.bool_]:
        """Tell which of some positions in the request [n] are not stored, as far as was seen: bool [n]."""
        return ~self._found[places]

    def add(self, places: Rows) -> None:
        """Note what this process has stored."""
        self._found[places] = True

    def own(self, name: str) -> None:
        """Leave a segment of this process out of the next look; `add` notes its rows."""
        self._elsewhere.own(name)

    def look(self) -> Rows:
        """Return the positions in the request of what others have published since the last look."""
        new = self._elsewhere.look()
        self.add(new)
        return new


class PortionStored:
    """What a portion sees of `Stored`; implements `Watch`.

    Parameters
    ----------
    stored : Stored
    places : ndarray of int64, [n]
        The portion: positions in the request, each once.
    """

    def __init__(self, stored: Stored, places: Rows) -> None:
        self._stored, self._places = stored, places

    def own(self, name: str) -> None:
        """Leave a segment of this process out of the next look."""
        self._stored.own(name)

    def look(self) -> Rows:
        """Return the positions in the portion of what others have published since the last look."""
        return np.flatnonzero(np.isin(self._places, self._stored.look()))
