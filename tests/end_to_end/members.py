"""A team on one machine: a home for each member, a git server, an S3 server, and the commands of docs/team.md."""

from __future__ import annotations

import re
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec
import numpy as np

from store import FeatureStore
from tests.end_to_end.clones import make_clone
from tests.pipeline.project import ROOT, environment
from tests.store.backends.moto_server import CREDENTIALS

PAGE = (ROOT / "docs" / "team.md").read_text("utf-8")
GIT_SERVER = "git@git.example.org:team/films.git"
BUCKETS = ("team-films-results", "team-films-vectors")
STORE = "s3://team-films-vectors/store"
WHO = {f"GIT_{role}_{what}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
MEMBER = re.compile(r"# (\w+)'s machine\n")


def page_blocks() -> list[tuple[str, str]]:
    """Read the blocks of commands of the page that say who types them, each with that member."""
    blocks = re.findall(r"^```console\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    named = ((MEMBER.match(block), block) for block in blocks)
    return [(member[1].lower(), block) for member, block in named if member]


@dataclass
class Team:
    """Homes below one folder, the address of the S3 server, and the store where no local.toml names it.

    `said` keeps what the commands printed, in their order.
    """

    folder: Path
    s3: str = ""
    store: str = ""
    said: list[str] = field(default_factory=list)

    def home(self, member: str) -> Path:
        """Return a member's home; the clone is `films` in it."""
        home = self.folder / member
        home.mkdir(exist_ok=True)
        return home

    def found(self, founder: str, posts: int) -> None:
        """Make the git server with the template in it, and the founder's clone with the first posts."""
        clone = make_clone(self.home(founder) / "films", range(posts))
        server = self.folder / "films.git"
        self._git(self.folder, "init", "-q", "--bare", "-b", "main", str(server))
        self._git(clone, "branch", "-M", "main")
        self._git(clone, "remote", "add", "origin", str(server))
        self._git(clone, "push", "-q", "origin", "main")

    def new_posts(self, member: str, posts: range) -> None:
        """Lay pictures and a table of new posts into `~/new`."""
        made = make_clone(self.folder / "elsewhere", posts)
        (made / "posts").rename(self.home(member) / "new")

    def type(self, member: str, commands: str) -> str:
        """Run commands in a member's home and return what they printed."""
        script = f"set -euo pipefail\n{commands.replace(GIT_SERVER, str(self.folder / 'films.git'))}"
        done = self.run(self.home(member), "bash", "-c", script)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def run(self, folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
        """Run one command; what it printed is kept."""
        home = folder.parent if folder.name == "films" else folder
        env = environment(**CREDENTIALS, **WHO, HOME=str(home))
        env |= {name: value for name, value in (("AWS_ENDPOINT_URL", self.s3), ("DIPTYCH_STORE", self.store)) if value}
        done = subprocess.run(
            command, cwd=folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        self.said.append(done.stdout)
        return done

    def computed(self) -> int:
        """Count the rows that all runs so far said to have computed."""
        return sum(
            int(new) for said in self.said for new in re.findall(r"^embed \S+: \d+ cached, (\d+) new", said, re.M)
        )

    def stored(self) -> Iterator[tuple[str, int, int]]:
        """Yield each fingerprint in the store with its rows and its distinct rows."""
        for log in FeatureStore(STORE).logs():
            keys = np.concatenate([log.files.read(name).keys for name in log.segments()])
            yield log.fingerprint.digest, len(keys), len(np.unique(keys, axis=0))

    @staticmethod
    def _git(folder: Path, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def make_bucket(address: str, name: str) -> None:
    """Make a bucket on the S3 server."""
    request = urllib.request.Request(f"{address}/{name}", method="PUT")  # noqa: S310 (our own server)
    with urllib.request.urlopen(request, timeout=30):  # noqa: S310
        pass


def bucket_files() -> Any:
    """Open the S3 server as a file system."""
    return fsspec.filesystem("s3", skip_instance_cache=True, use_listings_cache=False)


def ran(said: str) -> set[str]:
    """Read from what DVC printed which stages it ran."""
    return set(re.findall(r"^Running stage '([^']+)'", said, re.MULTILINE))
