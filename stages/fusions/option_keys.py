"""Which keys of an experiment are options of its fusion, and which of its head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stages.flat_params import Mistake, Options, mistake, option_mistakes
from stages.fusions.catalog import FUSIONS
from stages.heads.catalog import HEADS

NATIVE = "native"
PREFIX = "fusion_"


@dataclass(frozen=True)
class OptionKeys:
    """The options of one fusion or head, and the keys by which an experiment gives them."""

    options: type[Options]
    names: dict[str, str]

    def chosen(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options that the values give, by the options' own names."""
        return {name: values[key] for key, name in self.names.items() if key in values}

    def written(self, options: Options) -> Iterator[tuple[str, Any]]:
        """Yield every option with the key that gives it, as JSON."""
        keys = {name: key for key, name in reversed(self.names.items())}  # the plain key, where there is one
        yield from ((keys[name], value) for name, value in options.model_dump(mode="json").items())

    def mistakes(self, values: Mapping[str, Any]) -> Iterator[Mistake]:
        """Yield the mistakes in them, each at the key that was written."""
        written: dict[str, str] = {}
        for key, name in self.names.items():
            if key in values and name in written:
                yield mistake(key, values[key], f"{key}: the same as {written[name]!r}, which is given too; keep one")
            elif key in values:
                written[name] = key
        for each in option_mistakes(self.chosen(values), self.options):
            first, *rest = each["loc"] or ("",)
            yield {**each, "loc": (written.get(first, first), *rest)}


def option_keys(fusion: str, head: str) -> list[OptionKeys]:
    """Return the options of a fusion and, unless it is the fusion's own, of a head.

    Both may have one of the same name, such as `lr`: the plain key is then the head's, and `fusion_lr` the fusion's.
    """
    own = FUSIONS[fusion].options
    if head == NATIVE:
        return [OptionKeys(own, {name: name for name in own.model_fields})]
    options = HEADS[head].options
    plain = {name: name for name in own.model_fields if name not in options.model_fields}
    prefixed = {f"{PREFIX}{name}": name for name in own.model_fields}
    return [OptionKeys(own, {**plain, **prefixed}), OptionKeys(options, {name: name for name in options.model_fields})]
