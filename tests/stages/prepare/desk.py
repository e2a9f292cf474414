"""A little folder of pictures, and a way to run `prepare` over a table beside them."""

import io
from pathlib import Path
from typing import Any

from PIL import Image

from stages.contract import SilentProgress
from stages.prepare import sources
from stages.prepare.params import PrepareParams
from stages.prepare.run import PrepareOutputs, run
from stages.prepare.summary import PrepareSummary
from store.items.manifest import Manifest

Prepared = tuple[Manifest, PrepareSummary]
VOCABULARY = Path(sources.__file__).with_name("scenes.yaml")
COLUMNS = {"id": "id", "image": "image", "text": "caption", "label": "kind"}


def picture(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (shade, 90, 120)).save(buffer, "PNG")
    return buffer.getvalue()


class Desk:
    """A folder `data` with pictures 0.png to 9.png, where tables are put and prepared into `out`."""

    def __init__(self, root: Path) -> None:
        self.data = root / "data"
        self.out = root / "out" / "prepare"
        self.data.mkdir()
        for number in range(10):
            (self.data / f"{number}.png").write_bytes(picture(number))

    def put(self, name: str, content: str | bytes) -> Path:
        path = self.data / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def prepare(self, path: Path | None = None, columns: dict[str, Any] | None = None, **params: Any) -> Prepared:
        table = COLUMNS if columns is None else columns
        asked = PrepareParams(source="table", path=str(path or self.data), table=table, **params)
        summary = run(asked, PrepareOutputs(self.out), SilentProgress())
        return Manifest.open(self.out / "manifest.parquet"), summary

    def assert_nothing_written(self) -> None:
        assert not self.out.parent.exists() or not list(self.out.parent.iterdir())
