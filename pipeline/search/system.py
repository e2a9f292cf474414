"""Which retrieval system answers a query, and which of its matrices: by the fields that they encode and are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from pipeline.params.sections import Params
from pipeline.wiring import encoded_fields
from stages.models.catalog import did_you_mean
from store.errors import InputError
from store.items.records import IMAGE


@dataclass(frozen=True)
class Words:
    """What was typed: one text for every field, and texts for named ones, which come first."""

    text: str | None
    named: Mapping[str, str]

    @classmethod
    def of(cls, text: str | None, named: Sequence[str]) -> Self:
        """Read NAME=TEXT of each named field.

        Raises
        ------
        InputError
            When there is no name, or one is given twice.
        """
        found: dict[str, str] = {}
        for each in named:
            name, sign, said = each.partition("=")
            if not sign or not name:
                raise InputError(f"--field: expected NAME=TEXT; found {each!r}; write for example caption='a red bus'.")
            if name in found:
                raise InputError(f"--field: expected each field once; found {name!r} twice; remove one.")
            found[name] = said
        return cls(text, found)


@dataclass(frozen=True)
class Fit:
    """How a system goes with a query.

    Attributes
    ----------
    name : str
        Its entry of `retrieve`.
    texts : mapping of str to str
        The text for each field.
    objection : str
        Why it cannot answer, or "".
    whole : bool
        Whether every field that it looks at is given.
    """

    name: str
    texts: Mapping[str, str]
    objection: str
    whole: bool


def fields_of(params: Params, feature: str) -> tuple[str, ...]:
    """Return the fields that a matrix holds, through `reduce` and `fuse` too, each once."""
    if feature not in params.fuse:
        return encoded_fields(params, feature)
    every = [field for each in params.fuse[feature].features for field in fields_of(params, each)]
    return tuple(dict.fromkeys(every))


def choose_system(params: Params, wanted: str | None, words: Words, *, pictured: bool) -> Fit:
    """Choose the system that answers.

    Parameters
    ----------
    wanted : str or None
        The entry that was asked for. None takes the first that looks at just what is given, or else the first that
        looks at all that is given and more.
    words : Words
    pictured : bool
        Whether a picture is given.

    Raises
    ------
    InputError
        When there is no such system, or it does not look at what is given: nothing that is given is ignored.
    """
    systems = list(params.retrieve)
    if not systems:
        raise InputError("search: expected an entry in the section `retrieve` of params.yaml; found none; add one.")
    if wanted is not None and wanted not in systems:
        near = did_you_mean(wanted, systems)
        raise InputError(f"search: expected an entry of `retrieve`; found {wanted!r}{near}; there are {systems}.")
    fits = [_fit(params, name, words, pictured=pictured) for name in (systems if wanted is None else [wanted])]
    able = sorted((each for each in fits if not each.objection), key=lambda each: not each.whole)
    if able:
        return able[0]
    told = "; ".join(f"{each.name} {each.objection}" for each in fits)
    raise InputError(
        f"search: expected a query that the system looks at; found that {told}; change the query, or add an entry of "
        "`retrieve` over what it has."
    )


def _fit(params: Params, name: str, words: Words, *, pictured: bool) -> Fit:
    features = params.retrieve[name].features
    fields = dict.fromkeys(field for each in features for field in fields_of(params, each))
    written = [field for field in fields if field != IMAGE]
    texts = {field: text for field in written if (text := words.named.get(field, words.text)) is not None}
    whole = len(texts) == len(written) and pictured == (IMAGE in fields)
    return Fit(name, texts, _objection(written, words, pictured=pictured, shown=IMAGE in fields), whole)


def _objection(written: list[str], words: Words, *, pictured: bool, shown: bool) -> str:
    """Say what of the query a system would ignore."""
    if pictured and not shown:
        return "looks at no picture"
    for field in words.named:
        if field not in written:
            return f"has no text field {field!r}{did_you_mean(field, written)}, it reads {written or 'no text'}"
    if words.text is not None and all(field in words.named for field in written):
        return "has no text field left for --text" if written else "reads no text"
    return ""


def used_features(params: Params, system: str, given: frozenset[str]) -> tuple[list[str], list[str]]:
    """Choose the matrices that are searched.

    Parameters
    ----------
    given : frozenset of str
        The fields that the query has.

    Returns
    -------
    tuple of list of str and list of str
        Those that hold a given field; notes on what is left out or stands for an input that is not given.

    Raises
    ------
    InputError
        When half of a pair is given to an encoder of pairs.
    """
    used, notes = [], []
    for feature in params.retrieve[system].features:
        _refuse_half_a_pair(params, feature, given)
        absent = [field for field in fields_of(params, feature) if field not in given]
        if not given.intersection(fields_of(params, feature)):
            notes.append(f"no {' or '.join(absent)} was given: {feature} is left out of the search")
            continue
        used.append(feature)
        notes += [f"no {field} was given: {feature} holds the missing vector in its place" for field in absent]
    return used, notes


def _refuse_half_a_pair(params: Params, feature: str, given: frozenset[str]) -> None:
    if feature in params.fuse:
        for each in params.fuse[feature].features:
            _refuse_half_a_pair(params, each, given)
        return
    fields = encoded_fields(params, feature)
    if given.intersection(fields) and not given.issuperset(fields):
        raise InputError(
            f"search: expected {' and '.join(fields)}, which {feature} encodes as a pair; found "
            f"{' and '.join(given.intersection(fields))} alone; give both --image and --text."
        )
