"""`diptych catalog KIND NAME`: what an option takes, its default, and what the classes say that it means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.cli import app
from pipeline.params.catalog import entry, rows
from stages.prepare.sources.table.params import TableParams
from store.errors import InputError

KINDS = ("encoders", "fitters", "fusions", "heads", "sources")


def options(kind: str, name: str) -> dict[str, dict[str, Any]]:
    return {each["option"]: each for each in entry(kind, name)["options"]}


def test_an_option_is_told_with_what_it_takes_its_default_and_its_meaning() -> None:
    found = options("fusions", "attention")
    assert found["optimizer"]["takes"] == "adamw or adam or sgd"
    assert found["modality_dropout"]["takes"] == "number >= 0 and < 1"
    assert (found["hidden"]["takes"], found["hidden"]["default"]) == ("list of integer >= 1", [512, 256, 128])
    assert found["patience"]["meaning"].startswith("Early stopping")  # said by a base class


def test_alternatives_and_options_that_may_be_left_out() -> None:
    assert options("heads", "svm")["gamma"]["takes"] == "scale or auto or number > 0"
    assert options("encoders", "resnet152")["size"]["takes"] == "integer >= 32 and <= 2048"
    assert options("encoders", "resnet152")["size"]["default"] is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_entry_is_told_and_names_the_options_of_its_row(kind: str) -> None:
    for row in rows(kind):
        found = entry(kind, row["name"])
        told = [each["option"] for each in found.get("options", [])]
        assert told == row.get("options", [])
        assert all(each["takes"] != "any value" for each in found.get("options", []))
        shown = CliRunner().invoke(app, ["catalog", kind, row["name"]])
        assert shown.exit_code == 0
        assert all(f"\n{name}: " in shown.stdout for name in told)


def test_the_keys_of_the_section_table_are_told_with_their_choices() -> None:
    found = options("sources", "table")
    assert list(found) == list(TableParams.model_fields)
    assert (found["quoting"]["takes"], found["quoting"]["default"]) == ("checked or standard or none", "checked")
    assert found["decimal"]["takes"] == ". or ,"
    assert (found["negatives"]["takes"], found["negatives"]["default"]) == ("boolean", True)
    assert found["texts"]["takes"] == "names with a string each"
    assert options("sources", "coco")["negatives"]["default"] is False


def test_every_key_of_a_source_is_explained() -> None:
    for row in rows("sources"):
        assert all(each["meaning"] for each in entry("sources", row["name"])["options"]), row["name"]


def test_json_is_the_same_and_a_wrong_name_gets_the_nearest() -> None:
    shown = CliRunner().invoke(app, ["catalog", "heads", "knn", "--json"])
    assert json.loads(shown.stdout)["options"][0]["option"] == "neighbours"
    with pytest.raises(InputError, match=r"expected one of the heads .* found 'svn' \(did you mean 'svm'\?\)"):
        entry("heads", "svn")
