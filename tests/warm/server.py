"""Imports what commands of `diptych` import, and forks for each: `python -P server.py SOCKET DIPTYCH ALIVE`.

It ends when the last writer of the pipe ALIVE is gone. Nothing of `pipeline` is imported beforehand: its console looks
at the terminal and at COLUMNS when it is imported.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any, NoReturn

FREE = ("DIPTYCH_", "DVC_", "GIT_", "PYTEST_", "AWS_")
"""Variables that may differ from the server's, as they begin: none is read by an import."""
_FREE_NAMES = frozenset({"COLUMNS", "PATH", "PWD", "OLDPWD", "SHLVL", "_"})
_LATE = ("transformers", "timm", "openvino", "matplotlib.pyplot", "distributed", "rich.progress", "typer.rich_utils")
"""What the rooms import only when it is needed, and `pipeline` before all else."""
_GIVEN = dict(os.environ)
"""The environment at the start: some libraries add to it when they are imported."""


def serve(address: str, real: str, alive: int) -> None:
    """Answer requests until the pipe closes."""
    _import_rooms()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(64)
        os.write(1, b"ready\n")
        while alive not in select.select([listener, alive], [], [])[0]:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                os.close(alive)
                _answer(connection, real)
            connection.close()


def _import_rooms() -> None:
    for room in ("stages", "store"):
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            try:
                importlib.import_module(module.name)
            except ImportError:  # of an extra that is not installed: the command will say so
                continue
    for name in _LATE:
        importlib.import_module(name)


def _answer(connection: socket.socket, real: str) -> NoReturn:
    """Run one command in a child, pass signals on to it, and say how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    head, streams, _, _ = socket.recv_fds(connection, 8, 3)
    request = json.loads(_exactly(connection, int.from_bytes(head, "big")))
    if _differ(request["environment"]):
        connection.sendall(b"cold")
        os._exit(0)
    child = os.fork()
    if child == 0:
        connection.close()
        _become(request, streams, real)
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(child)
    while ended not in select.select([connection, ended], [], [])[0]:
        asked = connection.recv(1)
        os.kill(child, asked[0] if asked else signal.SIGKILL)
    connection.sendall(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())
    os._exit(0)


def _exactly(connection: socket.socket, count: int) -> bytes:
    text = bytearray()
    while len(text) < count and (more := connection.recv(count - len(text))):
        text += more
    return bytes(text)


def _differ(environment: dict[str, str]) -> bool:
    """Tell whether a variable differs that an import may have read; what imports themselves set does not."""
    names = [name for name in {*environment, *_GIVEN} - _FREE_NAMES if not name.startswith(FREE)]
    return any(environment.get(name) not in (_GIVEN.get(name), os.environ.get(name)) for name in names)


def _become(request: dict[str, Any], streams: list[int], real: str) -> NoReturn:
    """Be the command."""
    for number in (signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
        os.close(stream)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1, errors="backslashreplace")  # noqa: SIM115
    os.chdir(request["folder"])
    os.umask(request["umask"])
    added = {name: value for name, value in os.environ.items() if name not in _GIVEN}
    os.environ.clear()
    os.environ.update(added | request["environment"])
    sys.argv = [real, *request["arguments"]]
    sys.path.insert(0, str(Path(real).parent))
    sys.modules["__main__"].__file__ = real
    code = _run()
    threading._shutdown()  # type: ignore[attr-defined]  # as an interpreter does at its end
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run() -> int:
    """Run `diptych` as its entry point does, and return the exit code."""
    try:
        from pipeline.cli import main

        main()
        code: Any = 0
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - whatever it is, an interpreter prints it
        traceback.print_exc()
        code = 1
    if isinstance(code, str):
        code = sys.stderr.write(f"{code}\n") and 1
    return int(code or 0)


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], int(sys.argv[3]))
    os._exit(0)  # nothing to tidy up, and some libraries would tell of leaks
