"""The options of every fitter, with the defaults of systems.md 3; `params` fills them from its flat entries."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Width = Annotated[int, Field(ge=1)]


class Options(BaseModel):
    """Base of all option rows: frozen, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class W2vOptions(Options):
    """Word2Vec, continuous bag of words with negative sampling; systems.md 3.4.

    Attributes
    ----------
    vector_size : int
        Width of the word vectors.
    window : int
        Words on each side.
    min_count : int
        Rarer words are not learnt.
    epochs, negative : int
        Passes over the texts; noise words drawn for every word.
    """

    vector_size: Width = 100
    window: Width = 5
    min_count: Width = 1
    epochs: Width = 5
    negative: Width = 5
