"""Commands of `diptych` that start warm: in tests, a server that has imported everything forks for each of them.

A command is still a process of its own, with its own folder, environment, arguments, streams and exit code. What it
shares with the others is the importing of modules, two to four processor seconds each time, and the seed of `hash`. A
test whose promise rests on either runs cold: with a `PYTHONHASHSEED`, or any other variable that an import may read,
the client starts the real command (`server.FREE` names those that may differ).
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.warm.server import FREE

_HERE = Path(__file__).parent
_CLIENT = """#!{python} -ISs
REAL, ADDRESS = {real!r}, {address!r}
{code}"""


_AT_START = dict(os.environ)
"""The environment before the first test; some leave things in it, as a Nanny of dask.distributed does."""


def inherited() -> dict[str, str]:
    """Return the environment at the start of the tests, with what they have set since of the variables of `FREE`."""
    kept = {name: value for name, value in _AT_START.items() if name in os.environ and not name.startswith(FREE)}
    return kept | {name: value for name, value in os.environ.items() if name.startswith(FREE)}


@functools.cache
def warm_path() -> str:
    """Start the server of this process, and return a folder to put first on PATH: its `diptych` asks the server."""
    folder = Path(tempfile.mkdtemp(prefix="diptych-warm-"))
    address, client = folder / "socket", folder / "diptych"
    real = Path(sys.executable).parent / "diptych"
    code = (_HERE / "client.py").read_text(encoding="utf-8")
    client.write_text(_CLIENT.format(python=sys.executable, real=str(real), address=str(address), code=code))
    client.chmod(0o755)
    alive, kept = os.pipe()
    server = subprocess.Popen(
        [sys.executable, "-P", str(_HERE / "server.py"), str(address), str(real), str(alive)],
        pass_fds=(alive,),
        start_new_session=True,
        env={**inherited(), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
    )
    os.close(alive)
    atexit.register(_stop, server, kept, folder)
    assert server.stdout is not None
    if server.stdout.readline() != b"ready\n":
        raise RuntimeError("expected tests/warm/server.py to get ready; it ended before: see its message above")
    return str(folder)


def _stop(server: subprocess.Popen[bytes], kept: int, folder: Path) -> None:
    """End the server, which ends when nobody holds the other end of its pipe."""
    os.close(kept)
    server.wait(timeout=30)
    shutil.rmtree(folder, ignore_errors=True)
