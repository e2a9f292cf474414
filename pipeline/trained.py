"""What `evaluate` reads of a trained experiment to ask its models again: models, matrices, what they encode."""

from __future__ import annotations

from pipeline import paths
from pipeline.cards import stated_digests
from pipeline.params import Params
from stages.evaluate.conditions import TrainedInputs
from stages.records import IMAGE


def trained_inputs(params: Params, name: str) -> TrainedInputs:
    """Return the models of an experiment, its matrices and the fields that each of them encodes.

    Raises
    ------
    InputError
        When a matrix has no card.
    """
    matrices, features = params.matrices, params.train[name].features
    return TrainedInputs(
        paths.model("train", name),
        tuple(features),
        matrices.features(features),
        stated_digests(matrices, features),
        tuple(encoded_fields(params, feature) for feature in features),
    )


def encoded_fields(params: Params, feature: str) -> tuple[str, ...]:
    """Return the fields of a matrix; none for one of `fuse`, in which they can no longer be told apart."""
    source = params.reduce[feature].features if feature in params.reduce else feature
    if source not in params.embed:
        return ()
    entry = params.embed[source]
    return (entry.field, IMAGE) if entry.row.kind == "pair" else (entry.field,)
