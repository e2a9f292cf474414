"""Hold a network to torch before it computes a row: whatever engine runs it, its vectors are those of the reference.

The reference is torch in float32, one item at a time. An engine may convert a network into another one, half precision
may ruin it, and some networks let padding into their vectors: none of these raises. So each network is tried first, on
items alone and in company, and takes the first way of running that keeps the contract.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from stages.models.encoders.protocol import NetworkEngine, OutOfMemory, Placement, Rows
from stages.models.encoders.running.engines import Array, Network, NotConvertible, TorchNetwork, compile_network
from store import cosines
from store.errors import InputError, RunError

_LOG = logging.getLogger(__name__)
Company = Literal["together", "of one length", "one by one"]
_COMPANIES: tuple[Company, ...] = ("together", "of one length", "one by one")
# Above the contract's .999 where only a few items are tried, since others may be worse.
_ENOUGH = {"exact": 0.999999, "fast": 0.9995}
_FIRST_ITEMS = 8


@dataclass(frozen=True)
class Feed:
    """How prepared items go into a network, and how its outputs become rows.

    Attributes
    ----------
    collate : callable
        From items to the inputs of one batch, padded to the longest of them.
    rows : callable
        From items and the network's outputs for them to rows [n, dim].
    width : int
        Of the vector, with which each row begins.
    trial : sequence
        Items to try the network on; the first two differ in length where items can. They share a batch.
    alone : sequence
        More items to try, which share no batch because that would take long.
    length : callable
        Gives items that need no padding beside each other the same value.
    tuned : callable
        From the module to one that torch runs faster, with the same outputs.
    """

    collate: Callable[[Sequence[Any]], Sequence[Array]]
    rows: Callable[[Sequence[Any], Sequence[Array]], Rows]
    width: int
    trial: Sequence[Any]
    alone: Sequence[Any] = ()
    length: Callable[[Any], Hashable] = field(default=lambda item: 0)  # noqa: ARG005
    tuned: Callable[[Any], Any] = field(default=lambda module: module)

    def run(self, network: Network, items: Sequence[Any], company: Company) -> Rows:
        """Return the rows [n, dim] of some items, run `together`, `of one length` or `one by one`."""
        groups = list(self._groups(items, company))
        batches = ([items[place] for place in places] for places in groups)
        rows = [self.rows(batch, network(*self.collate(batch))) for batch in batches]
        return rows[0] if len(rows) == 1 else np.concatenate(rows)[np.argsort(np.concatenate(groups))]

    def _groups(self, items: Sequence[Any], company: Company) -> Iterator[list[int]]:
        if company == "together":
            yield list(range(len(items)))
        elif company == "one by one":
            yield from ([place] for place in range(len(items)))
        else:
            places: dict[Hashable, list[int]] = {}
            for place, item in enumerate(items):
                places.setdefault(self.length(item), []).append(place)
            yield from places.values()


class HeldNetwork:
    """A network that is held to torch; see this module.

    Parameters
    ----------
    build : callable
        Makes the torch module, in float32 on the processor, with its weights; asked again when a row must be mended.
    feed : Feed
    placement : Placement

    Attributes
    ----------
    runtime : Runtime
        What computes in fact; the type may still change at the first batch.
    concurrency : int
        Batches that it computes at once, when as many threads call it.

    Raises
    ------
    InputError
        When weights are not finite, torch cannot run the network on the trial items or gives no finite vector for any,
        or the engine that was asked for by its name does not keep the contract.
    RunError
        When the device has no room for one trial item.
    """

    def __init__(self, build: Callable[[], Any], feed: Feed, placement: Placement) -> None:
        self._build, self._feed, self._placement = build, feed, placement
        self._lock = threading.Lock()
        self._mender: Network | None = None
        module = build()
        refuse_broken_weights(module)
        reference = TorchNetwork(module, _reference_placement(placement))
        way = _settled(module, feed, placement, reference)
        self._network, self._company = way.network, way.company
        self._mends = way.network is not reference
        self.runtime, self.concurrency = way.network.runtime, way.network.concurrency
        self._unproven = None if self.runtime.compute_dtype == "float32" else (module, reference)

    def __call__(self, items: Sequence[Any]) -> Rows:
        """Return the rows [n, dim] of some prepared items; one that is not finite is computed again, by torch alone.

        Raises
        ------
        OutOfMemory
            When the device has no room for the batch.
        """
        with self._lock:  # whoever comes second waits for the verdict
            if self._unproven is not None:
                self._prove(items[:_FIRST_ITEMS], *self._unproven)
                self._unproven = None
        rows = self._feed.run(self._network, items, self._company)
        bad = ~np.isfinite(rows).all(axis=1)
        if self._mends and bad.any():
            rows[bad] = self._mended([items[place] for place in np.flatnonzero(bad).tolist()])
        return rows

    def _prove(self, items: Sequence[Any], module: Any, reference: Network) -> None:
        """Hold half precision to float32 on the first items that are real: it bears some inputs worse than others."""
        expected = self._feed.run(reference, items, "one by one")
        found = self._feed.run(self._network, items, self._company)
        lowest = _lowest(found, expected, self._feed.width)
        if lowest < _ENOUGH["fast"]:
            _LOG.warning(
                "precision fast: this network in %s has a cosine of %.5f to float32 on its first items, less than %s: "
                "it is computed in float32", self.runtime.compute_dtype, lowest, _ENOUGH["fast"],
            )  # fmt: skip
            engine: NetworkEngine = "openvino" if self.runtime.engine == "openvino" else "torch"
            exact = replace(self._placement, engine=engine, precision="exact")
            self._network = compile_network(module, self._feed.collate(self._feed.trial[:2]), exact)
            self.runtime.compute_dtype = self._network.runtime.compute_dtype

    def _mended(self, items: Sequence[Any]) -> Rows:
        with self._lock:
            if self._mender is None:
                told = f"{self.runtime.engine} {self.runtime.compute_dtype}"
                _LOG.warning("embed: vectors that are not finite by %s are computed again by torch, one by one", told)
                self._mender = TorchNetwork(self._build(), _reference_placement(self._placement))
            return self._feed.run(self._mender, items, "one by one")


def refuse_broken_weights(module: Any) -> None:
    """Refuse weights that are not finite: an engine may hide them, as OpenVINO's ReLU does, which makes 0 of NaN.

    Raises
    ------
    InputError
    """
    import torch

    def broken(name: str, values: Any) -> bool:
        # Minus infinity may stand in a mask, which is a buffer.
        masked = values if name in weights else torch.where(values == -torch.inf, torch.zeros_like(values), values)
        return not bool(torch.isfinite(masked).all())

    weights = {name for name, _ in module.named_parameters()}
    state = {name: each for name, each in module.state_dict().items() if each.is_floating_point()}
    bad = [name for name, values in state.items() if broken(name, values)]
    if bad:
        raise InputError(
            f"model: expected finite weights; found NaN or infinity in {len(bad)} of {len(state)} tensors, such as "
            f"{bad[0]!r}; copy or download the model again, or take a checkpoint from before it diverged."
        )


def _reference_placement(placement: Placement) -> Placement:
    return replace(placement, engine="torch", precision="exact")


@dataclass(frozen=True)
class _Way:
    """One way of running a network: what runs it, and which items share a batch."""

    network: Network
    company: Company

    @property
    def told(self) -> str:
        runtime = self.network.runtime
        return f"by {runtime.engine} in {runtime.compute_dtype}, items {self.company}"


def _settled(module: Any, feed: Feed, placement: Placement, reference: Network) -> _Way:
    """Return the first way of running a network that keeps the contract on trial items; say why others did not."""
    expected = _reference_rows(reference, feed)
    failed: list[str] = []
    for way in _ways(module, feed, placement, failed):
        shortcoming = _shortcoming(way, feed, expected, _ENOUGH[placement.precision])
        if not shortcoming:
            break
        failed.append(f"{way.told}: {shortcoming}")
    else:
        if placement.by_name and placement.engine != "torch":
            raise InputError(
                f"engine: expected {placement.engine} to give the vectors of torch; found that it does not "
                f"({'; '.join(failed)}); set DIPTYCH_ENGINE to auto or torch."
            )
        way = _Way(reference, "one by one")
    if failed:
        _LOG.warning(
            "embed: this network is computed %s, since other ways change its vectors (%s)", way.told, "; ".join(failed)
        )
    return way


def _ways(module: Any, feed: Feed, placement: Placement, failed: list[str]) -> Iterator[_Way]:
    """Yield the ways to try, the fastest first; what an engine cannot convert is added to `failed`."""
    made = []
    for network in _networks(module, feed, placement, failed):
        made.append(network)
        yield _Way(network, "together")
    for company in _COMPANIES[1:]:
        yield from (_Way(network, company) for network in made)


def _networks(module: Any, feed: Feed, placement: Placement, failed: list[str]) -> Iterator[Network]:
    others = [] if placement.by_name or placement.engine == "torch" else [replace(placement, engine="torch")]
    for each in (placement, *others):
        tuned = feed.tuned(module) if each.engine == "torch" else module
        try:
            network = compile_network(tuned, feed.collate(feed.trial[:2]), each)
            yield network
            if network.runtime.compute_dtype != "float32":
                yield compile_network(tuned, feed.collate(feed.trial[:2]), replace(each, precision="exact"))
        except NotConvertible as error:
            failed.append(f"{each.engine} cannot convert it: {error}")


def _reference_rows(reference: Network, feed: Feed) -> Rows:
    items = [*feed.trial, *feed.alone]
    try:
        rows = feed.run(reference, items, "one by one")
    except OutOfMemory as error:
        raise RunError(
            f"embed: expected room on the device for a batch of one item; found none ({error}); free its memory or set "
            "DIPTYCH_DEVICE=cpu."
        ) from error
    except Exception as error:  # what a network raises for an input that it cannot take is as varied as networks
        raise InputError(
            f"model: expected a network that torch can run on {len(items)} trial items; found {type(error).__name__}: "
            f"{str(error)[:200]}; lower max_len, or name another model."
        ) from error
    if not np.isfinite(rows).all(axis=1).any():
        raise InputError(
            f"model: expected a finite vector of a trial item; found NaN or infinity for each of {len(items)}; copy or "
            "download the model again, or name another."
        )
    return rows


def _shortcoming(way: _Way, feed: Feed, expected: Rows, enough: float) -> str:
    """Say how a way of running a network breaks the contract on the trial items; nothing when it keeps it."""
    try:
        company = feed.run(way.network, feed.trial, way.company)
        alone = feed.run(way.network, [*feed.trial, *feed.alone], "one by one")
    except OutOfMemory:
        raise
    except Exception as error:  # noqa: BLE001 (an engine may stop at a shape that it was not converted with)
        return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:160]}"
    lowest = _lowest(np.concatenate([company, alone]), np.concatenate([expected[: len(company)], expected]), feed.width)
    return "" if lowest >= enough else f"a cosine of {lowest:.6f} to torch in float32"


def _lowest(found: Rows, expected: Rows, width: int) -> float:
    """Return the lowest cosine of the vectors, and of what else the rows hold, where the reference is finite."""
    finite = np.isfinite(expected).all(axis=1)
    parts = [slice(0, width), slice(width, None)][: 1 + (found.shape[1] > width)]
    lowest = [cosines(found[finite, part], expected[finite, part]).min(initial=1.0) for part in parts]
    return float(np.nan_to_num(lowest, nan=-1.0).min())
