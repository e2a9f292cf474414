"""The `diptych` of a warm PATH: hands all that a command is given to the server, and ends as the command ends.

`warm_path` writes REAL, the command itself, and ADDRESS, the server's socket, above these lines.
"""

import json
import os
import signal
import socket
import sys


def ask(connection: socket.socket) -> str:
    """Send what the command needs, and return how it ended: an exit code, or `cold`."""
    umask = os.umask(0o077)
    os.umask(umask)
    request = {"arguments": sys.argv[1:], "folder": os.getcwd(), "umask": umask, "environment": dict(os.environ)}  # noqa: PTH109
    text = json.dumps(request).encode("utf-8", "surrogateescape")
    socket.send_fds(connection, [len(text).to_bytes(8, "big")], [0, 1, 2])
    connection.sendall(text)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, _: connection.sendall(bytes([number])))
    return connection.recv(16).decode()


with socket.socket(socket.AF_UNIX) as opened:
    opened.connect(ADDRESS)  # type: ignore[name-defined]  # noqa: F821
    answer = ask(opened)
if answer == "cold":
    os.execv(REAL, [REAL, *sys.argv[1:]])  # type: ignore[name-defined]  # noqa: F821, S606
if not answer:
    sys.exit("expected the warm server to say how the command ended; it went away")
if int(answer) < 0:  # ended by a signal: so does this process
    signal.signal(-int(answer), signal.SIG_DFL)
    os.kill(os.getpid(), -int(answer))
sys.exit(int(answer))
