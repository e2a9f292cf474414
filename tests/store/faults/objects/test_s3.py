"""A real S3 server behind a network that loses answers: reliability.md cases 35, 36, 37, 39 and 40 through s3fs."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from store import FeatureStore, StoreNotWritable, StoreUnreachable
from store.segments.segment import MAX_SEGMENT_BYTES
from tests.store.backends.moto_server import BUCKET, free_port
from tests.store.care.sound import assert_store_ok, model_of
from tests.store.faults.objects.flaky_proxy import Answer, FlakyProxy, flaky_proxy

DIM = 6


@pytest.fixture
def proxy(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlakyProxy]:
    with flaky_proxy(s3) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL", running.address)
        yield running


@pytest.fixture
def address(s3: str) -> str:  # noqa: ARG001 (the server must be there)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


def is_segment(path: str) -> bool:
    return "/segments/zarr.zip-" in path


@pytest.mark.parametrize(
    "answer",
    [
        Answer(acted=True),
        Answer(412, "PreconditionFailed", acted=True),
        Answer(409, "ConditionalRequestConflict", acted=True),
        Answer(500, "InternalError", acted=True),
        Answer(403, "AccessDenied", acted=True),
    ],
    ids=["connection lost", "412", "409", "500", "403"],
)
def test_a_lost_answer_is_no_error_and_the_row_is_there_once(proxy, address, fingerprint, make_rows, answer):
    proxy.plan = lambda method, path, number: answer if method == "PUT" and is_segment(path) and number == 1 else None
    keys, vectors = make_rows(0, 10)
    log = FeatureStore(address).open(fingerprint, DIM, "float32")
    name = log.append(keys, vectors, {})
    assert log.segments() == [name]
    assert assert_store_ok(FeatureStore(address), model_of(keys, vectors)) == set(model_of(keys, vectors))
    asked = [method for method, path in proxy.seen if is_segment(path)]
    assert asked.count("PUT") == (2 if answer.status == 0 else 1)
    assert "GET" in asked[1:]


def test_a_busy_server_is_waited_for(proxy, address, fingerprint, make_rows):
    busy = Answer(503, "SlowDown")
    proxy.plan = lambda method, path, number: busy if method == "PUT" and is_segment(path) and number <= 3 else None
    keys, vectors = make_rows(0, 10)
    FeatureStore(address).open(fingerprint, DIM, "float32").append(keys, vectors, {})
    assert len(assert_store_ok(FeatureStore(address), model_of(keys, vectors))) == 10
    assert [method for method, path in proxy.seen if is_segment(path)].count("PUT") == 4


def test_a_server_that_comes_up_again_is_waited_for(s3, address, fingerprint, make_rows, monkeypatch):
    keys, vectors = make_rows(0, 10)
    port = free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    pausing, sleep = threading.Event(), time.sleep
    monkeypatch.setattr("store.backends.objects.time.sleep", lambda seconds: (pausing.set(), sleep(seconds)))
    with ThreadPoolExecutor() as pool:
        opened = pool.submit(lambda: FeatureStore(address).open(fingerprint, DIM, "float32"))
        assert pausing.wait(30)  # the first attempt has found nobody there
        with flaky_proxy(s3, port) as proxy:
            log = opened.result(60)
            log.append(keys, vectors, {})
            assert proxy.seen
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    assert len(assert_store_ok(FeatureStore(address), model_of(keys, vectors))) == 10


@pytest.mark.usefixtures("s3")
def test_a_server_that_stays_away_is_told(address, fingerprint, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnreachable, match=r"Could not connect.*AWS_ENDPOINT_URL"):
        FeatureStore(address).open(fingerprint, DIM, "float32")


def test_credentials_that_expire_between_two_appends(proxy, address, fingerprint, make_rows):
    keys, vectors = make_rows(0, 20)
    log = FeatureStore(address).open(fingerprint, DIM, "float32")
    log.append(keys[:10], vectors[:10], {})
    proxy.plan = lambda *_: Answer(400, "ExpiredToken")
    with pytest.raises(StoreNotWritable, match=r"ExpiredToken.*renew the credentials"):
        log.append(keys[10:], vectors[10:], {})
    proxy.plan = lambda *_: None
    assert len(assert_store_ok(FeatureStore(address), model_of(keys, vectors))) == 10


def test_a_key_that_may_only_read(proxy, address, fingerprint, make_rows):
    keys, vectors = make_rows(0, 10)
    FeatureStore(address).open(fingerprint, DIM, "float32").append(keys, vectors, {})
    denied = Answer(403, "AccessDenied")
    proxy.plan = lambda method, *_: denied if method in ("PUT", "DELETE") else None
    log = FeatureStore(address).open(fingerprint, DIM, "float32")
    np.testing.assert_array_equal(log.read(log.locate(keys), slice(None)), vectors)
    with pytest.raises(StoreNotWritable, match="ask for this right"):
        log.probe_writable()


def test_a_bucket_that_is_not_there_is_named(proxy, fingerprint, make_rows):
    store = FeatureStore("s3://diptych-nowhere/x")
    for act in (
        store.exists,  # and not "an empty store": a misspelt name would cost a team all its vectors
        lambda: store.open(fingerprint, DIM, "float32").append(*make_rows(0, 2), {}),
    ):
        with pytest.raises(StoreUnreachable, match=r"a bucket that exists at s3://diptych-nowhere/x"):
            act()
    assert proxy.seen


def test_an_upload_in_parts_that_was_never_finished_is_not_visible(address, fingerprint, make_rows):
    keys, vectors = make_rows(0, 10)
    store = FeatureStore(address)
    log = store.open(fingerprint, DIM, "float32")
    name = log.append(keys[:5], vectors[:5], {})
    files = store.backend._fs
    other = name.replace(name.rsplit("-", 1)[1][:4], "0000")
    where = {"Bucket": BUCKET, "Key": f"{address.rpartition('/')[2]}/{log.folder}/segments/{other}"}
    upload = files.call_s3("create_multipart_upload", **where)["UploadId"]
    files.call_s3("upload_part", **where, UploadId=upload, PartNumber=1, Body=b"half of a segment")
    assert files.call_s3("list_multipart_uploads", Bucket=BUCKET)["Uploads"]
    assert store.backend.uploads() == [where["Key"]]
    assert FeatureStore(address[:-1]).backend.uploads() == []  # a root whose name only begins alike
    assert log.segments() == [name]
    assert len(assert_store_ok(FeatureStore(address), model_of(keys, vectors))) == 5
    files.call_s3("abort_multipart_upload", **where, UploadId=upload)


def test_no_credential_is_stored_or_told(proxy, address, fingerprint, make_rows, monkeypatch, caplog):
    secrets = ("AKIAUNMISTAKABLE", "unmistakable-secret", "unmistakable-token")
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    for name, secret in zip(names, secrets, strict=True):
        monkeypatch.setenv(name, secret)
    store = FeatureStore(address)
    log = store.open(fingerprint, DIM, "float32")
    log.append(*make_rows(0, 10), {})
    stored = [store.backend.read(f"{log.folder}/encoder.json", 1 << 20)]
    stored += [store.backend.read(f"{log.files.folder}/{name}", 1 << 20) for name in log.segments()]
    said = [store.address, log.shown]
    for answer in (Answer(403, "AccessDenied"), Answer(400, "ExpiredToken"), Answer(404, "NoSuchBucket")):
        proxy.plan = lambda *_, answer=answer: answer
        with pytest.raises(OSError, match=answer.code) as caught, caplog.at_level("INFO"):
            log.append(*make_rows(10, 20), {})
        said.append(str(caught.value))
    told = " ".join([*said, caplog.text]).encode() + b"".join(stored)
    assert not [secret for secret in secrets if secret.encode() in told]
    assert any(secret in seen for secret in secrets[:1] for seen in proxy.credentials)  # they were really in use


@pytest.mark.slow
def test_the_largest_segment_is_one_request(proxy, address):
    # A killed upload in parts would leave the parts behind, to be paid for and never seen.
    FeatureStore(address).backend.publish("a/large", bytes(MAX_SEGMENT_BYTES))
    assert [method for method, path in proxy.seen if path.partition("?")[0].endswith("/a/large")].count("PUT") == 1
    assert not [path for _, path in proxy.seen if "uploads" in path]
