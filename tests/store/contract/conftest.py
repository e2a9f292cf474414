"""The three kinds of storage, each as a place that a test can open, and reach into behind the store's back."""

from __future__ import annotations

import uuid
from pathlib import Path

import fsspec
import pytest
from fsspec import AbstractFileSystem

from tests.store.backends.moto_server import BUCKET, CREDENTIALS
from tests.store.contract.place import Place

KINDS = ("folder", "memory", "s3")


def make_place(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    name = uuid.uuid4().hex
    if kind == "folder":
        return Place(kind, str(tmp_path / name), fsspec.filesystem("file"), str(tmp_path / name))
    if kind == "memory":
        return Place(kind, f"memory://{name}/deeper", fsspec.filesystem("memory"), f"/{name}/deeper")
    request.getfixturevalue("s3")
    return Place(kind, f"s3://{BUCKET}/{name}", request.getfixturevalue("s3_files"), f"{BUCKET}/{name}")


@pytest.fixture(scope="session")
def s3_files(moto_address: str) -> AbstractFileSystem:
    """One client for all that tests do behind the store's back: making one takes half a second."""
    return fsspec.filesystem(
        "s3",
        skip_instance_cache=True,
        use_listings_cache=False,
        endpoint_url=moto_address,
        key=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        secret=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    return make_place(request.param, tmp_path, request)


@pytest.fixture
def places(request: pytest.FixtureRequest, tmp_path: Path) -> list[Place]:
    return [make_place(kind, tmp_path, request) for kind in KINDS]
