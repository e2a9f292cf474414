"""`diptych search`: it ranks as `retrieve` does, takes one input or both, and answers each wrong query with words."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from pipeline.search.nearest import Found
from store.errors import InputError
from tests.pipeline.project import call, write_params
from tests.pipeline.search.search_case import COUNT, PARAMS, UNSAID, UNSEEN, Case, caption, find, ids

ASKING = 23  # of the test part, with a picture and a caption


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Case:
    case = Case(tmp_path_factory.mktemp("search"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(case.root)
        case.make()
    return case


@pytest.fixture
def case(made: Case, monkeypatch: pytest.MonkeyPatch) -> Case:
    monkeypatch.chdir(made.root)
    return made


@pytest.fixture
def copy(made: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Case:
    """A project that a test may spoil."""
    shutil.copytree(made.root, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return Case(tmp_path / "copy")


@pytest.mark.parametrize("again", [False, True], ids=["stored", "encoded"])
@pytest.mark.parametrize("system", ["looks", "both", "reduced", "fused", "learned", "clusters"])
def test_an_items_own_picture_and_caption_rank_as_retrieve_ranks_the_item(case: Case, system: str, again: bool) -> None:
    # A blank behind it makes another content of the caption, and the same vector.
    text = None if system == "looks" else f"{caption(ASKING)}{' ' * again}"
    found = find(case.picture(ASKING, again=again), text, system, part="train")
    expected, distances = case.retrieved(system, ASKING)
    assert ids(found) == expected
    assert [hit.distance for hit in found.hits] == pytest.approx(distances, rel=1e-5, abs=1e-6)
    assert any("stored vector" in note for note in found.notes) is not again


@pytest.mark.parametrize("system", ["both", "reduced", "grouped"])
@pytest.mark.parametrize("number", [UNSAID[0], UNSEEN[-1], ASKING], ids=["picture", "caption", "both"])
def test_by_what_an_item_has_others_are_ranked_as_retrieve_ranks_them_and_what_they_lack_is_told(
    case: Case, system: str, number: int
) -> None:
    picture = None if number in UNSEEN else case.picture(number)
    found = find(picture, caption(number), system, part="train")
    expected, distances = case.retrieved(system, number)
    assert ids(found) == expected
    assert [hit.distance for hit in found.hits] == pytest.approx(distances, rel=1e-5, abs=1e-6)
    lacking = [note for note in found.notes if "count as far off as the others on average" in note]
    # Items without what is asked for cannot be found; of those with one of two inputs, the other counts its mean.
    assert [note.partition(" items")[0] for note in lacking] == (["3 of 32", "1 of 32"] if number == ASKING else [])


@pytest.mark.usefixtures("case")
def test_of_a_fused_matrix_the_answer_says_how_many_items_hold_a_missing_vector() -> None:
    found = find(None, "a bus", "fused", part="train")
    assert any(
        note.startswith("4 of 32 items lack an input of joined, which holds its missing") for note in found.notes
    )


def test_words_of_which_an_encoder_knows_none_are_refused_though_an_item_has_the_same(copy: Case) -> None:
    from pipeline.verbs import run_verb

    (copy.root / "words.txt").write_text("caption 0.5 -1.0\nlonely 1.0 0.25\n")
    embed = {**PARAMS["embed"], "known": {"encoder": "wordvec", "field": "title", "model": "words.txt"}}
    table = copy.root / "posts/posts.csv"
    table.write_text(table.read_text("utf-8").replace("number 9,", "lonely 9,"), "utf-8")
    write_params(copy.root, {**PARAMS, "embed": embed, "retrieve": {"known": {"features": ["known"], "k": [1]}}})
    run_verb("prepare", None)
    run_verb("embed", "known")
    assert ids(find(None, "lonely 9", "known", k=1)) == ["p9"]
    with pytest.raises(InputError, match="expected a query in which it knows something"):
        find(None, "number 4", "known", k=1)  # its item is marked as absent, and has the vector of all such items


@pytest.mark.usefixtures("case")
def test_retrieve_warns_of_a_fused_matrix_whose_missing_inputs_it_cannot_see(caplog: pytest.LogCaptureFixture) -> None:
    from pipeline.verbs import run_verb

    run_verb("retrieve", "fused")
    assert "joined holds caption-hash and image-colors in one vector: items that lack one" in caplog.text
    assert "`features: [caption-hash, image-colors]` compares only what two items both have" in caplog.text
    caplog.clear()
    run_verb("retrieve", "both")
    assert "in one vector" not in caplog.text


@pytest.mark.parametrize("again", [False, True])
def test_a_picture_of_the_gallery_is_found_first_at_distance_0(case: Case, again: bool) -> None:
    found = find(case.picture(4, again=again))
    assert (found.system, found.features) == ("looks", ["image-colors"])
    assert (found.hits[0].id, found.hits[0].distance) == ("p4", 0.0)
    assert found.hits[0].labels == ("kind 1",)
    assert found.hits[0].texts == {"title": "number 4", "caption": caption(4)}
    assert found.hits[1].distance > 0


def test_one_of_two_inputs_searches_the_matrices_that_hold_it(case: Case) -> None:
    found = find(case.picture(ASKING), None, "both")
    alone = find(case.picture(ASKING), None, "looks")
    assert found.features == alone.features == ["image-colors"]
    assert "no caption was given: caption-hash is left out of the search" in found.notes
    said = find(None, "a small red bird", "both")
    assert said.features == ["caption-hash"]
    assert (len(said.gallery.items), said.gallery.left_out) == (COUNT - len(UNSAID), len(UNSAID))
    assert not {f"p{number}" for number in UNSAID} & {
        hit.id for hit in find(None, "x", "both", k=COUNT - len(UNSAID)).hits
    }


@pytest.mark.parametrize("system", ["fused", "learned"])
def test_a_fused_matrix_takes_its_missing_vector_for_what_is_not_given(case: Case, system: str) -> None:
    # An item without a caption has just that vector, so its picture alone finds it.
    found = find(case.picture(UNSAID[0], again=True), None, system)
    assert found.hits[0].id == f"p{UNSAID[0]}"
    assert found.hits[0].distance == pytest.approx(0, abs=1e-6)
    assert found.notes[0].startswith("no caption was given")
    assert "missing vector" in found.notes[0]


def test_the_system_that_looks_at_just_what_is_given_is_taken(case: Case) -> None:
    assert find(case.picture(1)).system == "looks"
    assert find(case.picture(1), "a bus").system == "both"
    assert find(None, "a bus").system == "said"
    # Only a part of what each of these reads.
    assert find(None, None, named={"title": "number 3"}).features == ["title-hash"]


@pytest.mark.usefixtures("case")
def test_a_text_stands_for_every_field_that_has_none_of_its_own() -> None:
    both = find(None, "number 3", named={"caption": str(caption(9))})
    assert both.vectors.query.texts == {"title": "number 3", "caption": caption(9)}
    one, other = find(None, "number 3", k=2), find(None, None, named={"title": "number 3", "caption": "number 3"}, k=2)
    assert [hit.distance for hit in one.hits] == [hit.distance for hit in other.hits]


@pytest.mark.parametrize("part", ["train", "dev", "test"])
def test_only_the_part_that_is_asked_for_is_searched(case: Case, part: str) -> None:
    wanted = {"train": (0, 1, 2, 3), "dev": (4,), "test": (5,)}[part]
    found = find(case.picture(1), part=part)
    assert {int(name[1:]) % 6 for name in ids(found)} <= set(wanted)


def _words(**named: str) -> dict[str, Any]:
    return {"named": named}


@pytest.mark.parametrize(
    ("image", "text", "more", "said"),
    [
        (None, None, {}, "found none; give --image FILE, --text TEXT or both"),
        (None, " \n\t", {}, "--text: expected a text"),
        (None, "", {}, "--text: expected a text"),
        (None, "\udcff", {}, "expected UTF-8"),
        (None, None, _words(caption=" "), "--field caption: expected a text"),
        (None, None, _words(captoin="a bus"), "did you mean 'caption'"),
        (None, "a", _words(title="a", caption="b"), "no text field left for --text"),
        ("nowhere.png", None, {}, "No such file"),
        ("posts", None, {}, "expected a regular file"),
        ("posts/posts.csv", None, {}, "not one of JPEG"),
        ("bomb.png", None, {}, "expected a picture at .*bomb.png; found"),
        ("posts/0.png", None, {"system": "said"}, "said looks at no picture"),
        ("posts/0.png", "a bus", {"system": "looks"}, "looks reads no text"),
        ("posts/0.png", None, {"system": "lokos"}, "did you mean 'looks'"),
        ("posts/0.png", None, {"k": 47}, "expected k of at most 46"),
    ],
)
def test_each_wrong_query_is_told(case: Case, image: str | None, text: str | None, more: Any, said: str) -> None:
    if image == "bomb.png":
        Image.new("1", (10_000, 10_000)).save(case.root / image)
    before = {path: path.stat().st_mtime_ns for path in case.root.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=said):
        find(None if image is None else case.root / image, text, **more)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def _change(verb: str, name: str, **values: Any) -> dict[str, Any]:
    return {**PARAMS, verb: {**PARAMS[verb], name: {**PARAMS[verb][name], **values}}}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (_change("embed", "image-colors", dtype="float32"), "expected rows of the encoder that params.yaml names"),
        (_change("reduce", "image-pca", features="title-hash"), "made from the present source_digest"),
        (_change("fuse", "projected", features=["caption-hash", "image-colors"]), "made from the present sources"),
        ({**PARAMS, "retrieve": {}}, "expected an entry in the section `retrieve`"),
    ],
)
def test_matrices_that_params_yaml_no_longer_names_are_refused(copy: Case, params: dict[str, Any], said: str) -> None:
    write_params(copy.root, params)
    picture = None if "source_digest" in said else copy.picture(3, again=True)
    text = None if "encoder" in said else "a bus"
    with pytest.raises(InputError, match=said):
        find(picture, text, "looks" if text is None else "learned")


@pytest.mark.parametrize(
    ("file", "name", "system"),
    [
        ("fuse/joined/scaler.safetensors", "mean", "fused"),
        ("fuse/projected/fusion.safetensors", None, "learned"),
        ("reduce/image-pca/pca.safetensors", "mean", "reduced"),
    ],
)
def test_a_model_that_is_gone_or_did_not_make_the_matrix_is_refused(
    copy: Case, file: str, name: str | None, system: str
) -> None:
    path = copy.root / "models" / file
    weights = load_file(path) if name else {}
    if name:
        save_file({**weights, name: weights[name] + 1}, path)
        with pytest.raises(InputError, match="expected the model that made"):
            find(copy.picture(3, again=True), "a bus", system)
    shutil.rmtree(path.parent)
    with pytest.raises(InputError, match=r"run `dvc repro` \(or `dvc pull`\) first"):
        find(copy.picture(3, again=True), "a bus", system)


def test_a_manifest_that_changed_since_is_refused(copy: Case) -> None:
    from pipeline.verbs import run_verb

    table = copy.root / "posts/posts.csv"
    table.write_text(table.read_text("utf-8").replace("number 9,", "number nine,"), "utf-8")
    run_verb("prepare", None)
    with pytest.raises(InputError, match="made from the present content"):
        find(None, "a bus", "said")
    assert find(copy.picture(3)).hits


def test_the_command_prints_a_table_or_json_and_exits_2_when_asked_nothing(case: Case) -> None:
    command = ("diptych", "search", "both", "--image", "4.png", "--text", "a [bold]bus[/bold]", "-k", "3")
    done = call(case.root / "posts", *command, "--json", "--html", "../found.html")
    content = json.loads(done.stdout)
    assert done.returncode == 0, done.stderr
    assert (content["system"], content["query"]["caption"]) == ("both", "a [bold]bus[/bold]")
    assert [hit["rank"] for hit in content["hits"]] == [1, 2, 3]
    assert "a [bold]bus[/bold]" in (case.root / "found.html").read_text("utf-8")
    empty = call(case.root, "diptych", "search")
    assert (empty.returncode, "Traceback" in empty.stderr) == (2, False)
    assert "give --image FILE" in empty.stderr


def test_the_table_holds_texts_as_they_are(
    case: Case, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipeline.search.output import out, print_found

    monkeypatch.setattr(out, "width", 160)  # whatever width an earlier test of this process found
    found: Found = find(case.picture(0))
    print_found(found)
    said = capsys.readouterr().out
    assert '<script>alert("x")</script> & a [red]bus[/red]' in said
    assert "system looks: image-colors, head knn, over 46 items, 2 without the input left out" in said
