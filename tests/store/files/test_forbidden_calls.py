"""Nothing in the store writes under a final name: section 2 of docs/reliability.md, held by reading the syntax trees.

Whoever opens a final name for writing leaves half a file behind when the process dies; fsspec even stores the half on
purpose when the body raises. A rename on an object storage is a copy and a delete. So every call that writes, renames
or removes is listed here with the reason why it may.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests

ROOT = Path(tests.__file__).parents[1]

# What changes a file system, whatever it is called on.
CHANGES = {
    "write_bytes", "write_text", "rename", "renames", "mv", "mv_file", "pipe_file", "put_file",
    "cp_file", "copy_file", "copyfile", "copytree", "rm_file", "rmtree", "unlink", "remove", "touch", "truncate",
    "link", "symlink", "hardlink_to", "symlink_to", "mkstemp", "mkdtemp", "NamedTemporaryFile", "TemporaryDirectory",
    "pwrite",
}  # fmt: skip
# Common words, which change something only on a file system.
ON_FILE_SYSTEMS = {"put", "cp", "rm", "pipe", "transaction", "copy"}
OPENS = {"open", "fdopen", "File", "ZipFile"}
WRITING_FLAGS = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_APPEND", "_CREATE")

# File, beginning of the call, why it may.
JUSTIFIED = [
    ("store/files/publish.py", "os.open(temporary, _CREATE", "a temporary name, lent to the body of atomic_output"),
    ("store/files/publish.py", "os.open(path, _CREATE", "a temporary name; O_EXCL"),
    ("store/files/publish.py", "os.link(temporary, path)", "how bytes that are on the disk get their name"),
    (
        "store/files/publish.py",
        "os.replace(temporary, path)",
        "the same, where there are no links or a damaged file is healed",
    ),
    ("store/files/publish.py", "os.unlink(temporary)", "our own temporary name"),
    ("store/backends/local.py", "os.rename(source, destination)", "move, within one file system"),
    ("store/backends/local.py", "place.unlink(", "remove, which gc asks for"),
    ("store/backends/local.py", "probe.write_bytes(", "a temporary name, to read the clock of the storage"),
    ("store/backends/local.py", "probe.unlink(", "the same"),
    (
        "store/backends/objects.py",
        "self._fs.pipe_file(self._full(path), data, mode=mode)",
        "one request with finished bytes: whole or not at all",
    ),
    ("store/backends/objects.py", "self._fs.cp_file(", "move: copied, looked at, and only then deleted"),
    ("store/backends/objects.py", "self._fs.rm_file(", "remove, which gc asks for"),
    ("store/backends/objects.py", "self.remove(", "of its own probes, and of a file whose copy was looked at"),
    ("store/features/segment_files.py", "path.unlink(", "a cache on this machine"),
    ("store/features/segment_files.py", "self._file(name).unlink(", "a cache on this machine"),
    ("store/segments/formats.py", "h5py.File(file, 'w')", "in memory"),
    ("store/files/zarr_documents.py", "archive.open(entry, 'w')", "a member of one of the two archives below"),
    ("store/segments/formats.py", "zipfile.ZipFile(file, 'w')", "in memory"),
    ("store/matrices/hdf5.py", "os.open(path, os.O_WRONLY", "the temporary name of atomic_output"),
    ("store/matrices/hdf5.py", "os.pwrite(", "the same"),
    (
        "store/matrices/hdf5.py",
        "os.truncate(",
        "the same: room is reserved before HDF5, which crashes on a full disk, sees the file",
    ),
    ("store/matrices/hdf5.py", "h5py.File(self._path, 'r+'", "the same"),
    ("store/matrices/hdf5.py", "h5py.File(path, 'w'", "the same"),
    ("store/care/archive.py", "zipfile.ZipFile(temporary, 'w')", "the temporary name of atomic_output"),
    ("store/trust/verified.py", "temporary.write_bytes(", "a cache on this machine"),
    ("store/trust/verified.py", "entry.unlink(", "a cache on this machine"),
    ("store/care/garbage.py", "store.backend.remove(", "what lies in the trash longer than the grace period"),
    (
        "store/trust/signing.py",
        "os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL",
        "a new private key, outside of the store",
    ),
    ("store/matrices/zarr.py", "path.open('wb')", "the temporary name of atomic_output"),
    ("store/matrices/zarr.py", "zipfile.ZipFile(self._file, 'w')", "the same"),
    ("store/files/outputs.py", "temporary.open('w'", "the temporary name of atomic_output"),
    (
        "store/files/outputs.py",
        "path.replace(old)",
        "what stood there is put aside, and comes back when the move fails",
    ),
    ("store/files/outputs.py", "new.replace(path)", "how a folder gets its name"),
    ("store/files/outputs.py", "old.replace(path)", "back to where it was"),
    ("store/files/outputs.py", "shutil.rmtree(", "our own temporary folder, and what was put aside"),
    ("store/files/scratch.py", "lock.open(", "an empty file, held for as long as the run lives"),
    ("store/files/scratch.py", "lock.unlink(", "the same, of a run that is over"),
    (
        "store/files/scratch.py",
        "folder.replace(gone)",
        "a folder of a run that is over: no late worker may write into it",
    ),
    ("store/files/scratch.py", "shutil.rmtree(gone", "the same"),
    ("store/files/scratch.py", "temporary.open('wb')", "the temporary name of temporary_output"),
]
SOURCES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "store").rglob("*.py"))


def _mode(call: ast.Call) -> str:
    given = [*call.args, *(each.value for each in call.keywords if each.arg == "mode")]
    modes = [each.value for each in given if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    return next((mode for mode in modes if len(mode) <= 3), "r")


def _may_write(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    text = ast.unparse(call)
    if name in OPENS:
        return bool(set(_mode(call)) & set("wax+")) or any(flag in text for flag in WRITING_FLAGS)
    if name == "replace":
        one = isinstance(call.func, ast.Attribute) and len(call.args) == 1
        return text.startswith("os.") or one  # Path.replace; that of a str takes two
    if name == "move":
        return text.startswith("shutil.")
    if name in ON_FILE_SYSTEMS:
        return "fs." in text.partition("(")[0] or "filesystem." in text.partition("(")[0]
    return name in CHANGES and isinstance(call.func, ast.Attribute)


def _tree(source: str) -> ast.AST:
    return ast.parse((ROOT / source).read_text("utf-8"))


def _changes(tree: ast.AST) -> Iterator[str]:
    return (ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Call) and _may_write(node))


@pytest.mark.parametrize("source", SOURCES)
def test_only_what_is_justified_writes(source: str) -> None:
    allowed = tuple(start for file, start, _ in JUSTIFIED if file == source)
    unjustified = [call for call in _changes(_tree(source)) if not call.startswith(allowed)]
    assert not unjustified, "write through `publish` or a backend, or say in JUSTIFIED why not"


def test_every_justification_is_needed() -> None:
    stale = {
        f"{file}: {start}"
        for file, start, _ in JUSTIFIED
        if not any(call.startswith(start) for call in _changes(_tree(file)))
    }
    assert not stale


@pytest.mark.parametrize(
    "call",
    [
        "fs.open(path, 'wb')", "open(path, mode='a')", "path.open('r+b')", "os.open(path, os.O_RDWR)", "fs.mv(a, b)",
        "os.fdopen(3, 'xb')", "path.write_bytes(data)", "os.replace(a, b)", "path.replace(other)", "shutil.move(a, b)",
        "shutil.rmtree(a)", "fs.pipe_file(name, data)", "fs.transaction()", "h5py.File(path, 'a')", "os.rename(a, b)",
        "zipfile.ZipFile(path, 'w')", "tempfile.mkstemp()", "fs.put(a, b)", "fsspec.open(url, 'w').open()",
    ],
)  # fmt: skip
def test_the_check_can_fail(call: str) -> None:
    assert list(_changes(ast.parse(call)))


@pytest.mark.parametrize(
    "call",
    ["open(path)", "path.open('rb')", "os.open(path, os.O_RDONLY | os.O_CLOEXEC)", "'a'.replace('b', 'c')",
     "zipfile.ZipFile(file)", "h5py.File(file, 'r')", "store.open(fingerprint, 6, 'float32')",
     "replace(row, count=2)"],
)  # fmt: skip
def test_reading_is_free(call: str) -> None:
    assert not list(_changes(ast.parse(call)))
