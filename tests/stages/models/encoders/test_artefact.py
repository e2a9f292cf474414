"""What `fit` leaves behind is opened only when it is whole, of the right encoder, and of the present train rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stages.models.encoders.artefact import RECORD, Artefact, ids_digest, visible_digest
from store.errors import InputError

IDS = ["a", "b", "c", "d"]
PARTS = np.array(["train", "dev", "train", "test"])


def make(folder: Path, *, transductive: bool = False) -> Artefact:
    folder.mkdir(parents=True)
    (folder / "weights.bin").write_bytes(b"weights")
    train = visible_digest(IDS, PARTS, transductive=transductive)
    return Artefact(folder, "w2v", "caption", 0, {"width": 3}, transductive, 2, train, 1, {"numpy": "2"}).seal()


def test_what_was_sealed_is_opened(tmp_path: Path) -> None:
    made = make(tmp_path / "words")
    found = Artefact.open(tmp_path / "words", "w2v")
    assert found == made
    assert found.digest == make(tmp_path / "again").digest
    assert set(found.files) == {"weights.bin"}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("weights.bin", b"Weights", "found digest"),
        ("weights.bin", None, "found no such file for 'weights.bin'"),
        ("more.bin", b"", "'more.bin'"),
        (RECORD, None, "found no artefact.json"),
        (RECORD, b"{", "artefact.json: "),
        (RECORD, b'{"format": 1}', "expected the keys"),
        (RECORD, b"[]", "expected a JSON object"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused_with_the_remedy(
    tmp_path: Path, name: str, content: bytes | None, said: str
) -> None:
    folder = make(tmp_path / "words").folder
    (folder / name).write_bytes(content) if content is not None else (folder / name).unlink()
    with pytest.raises(InputError, match="run `dvc repro fit@words`") as caught:
        Artefact.open(folder, "w2v")
    assert said in str(caught.value)


def test_another_encoder_and_another_format_are_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "words").folder
    with pytest.raises(InputError, match=r"expected a fitted 'bovw'.*found 'w2v'"):
        Artefact.open(folder, "bovw")
    record = folder / RECORD
    record.write_text(record.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(InputError, match="of format 1"):
        Artefact.open(folder, "w2v")


def test_another_split_is_refused_with_both_digests(tmp_path: Path) -> None:
    made = make(tmp_path / "words")
    made.refuse_other_split(IDS, PARTS)
    made.refuse_other_split(IDS, np.where(PARTS == "dev", "test", PARTS))  # what is not train may move
    moved = np.array(["train", "train", "train", "test"])
    with pytest.raises(InputError, match="--allow-split-mismatch") as caught:
        made.refuse_other_split(IDS, moved)
    assert made.train[:16] in str(caught.value)
    assert visible_digest(IDS, moved, transductive=False)[:16] in str(caught.value)
    made.refuse_other_split(IDS, moved, allow=True)


def test_a_transductive_one_follows_the_items_and_not_the_split(tmp_path: Path) -> None:
    made = make(tmp_path / "words", transductive=True)
    made.refuse_other_split(IDS, np.full(4, "test"))
    with pytest.raises(InputError):
        made.refuse_other_split([*IDS, "e"], np.full(5, "test"))


def test_ids_are_digested_in_order_and_without_running_together() -> None:
    assert ids_digest(["ab", "c"]) != ids_digest(["a", "bc"])
    assert ids_digest(["a", "b"]) != ids_digest(["b", "a"])
