"""The encoders that are never fitted, by name: the catalogue lists them, and fitted ones stand on some of them."""

from __future__ import annotations

from stages.encoders.image.rows import IMAGE_ROWS
from stages.encoders.row import EncoderRow
from stages.encoders.simple_rows import SIMPLE_ROWS
from stages.encoders.text.rows import TEXT_ROWS

FROZEN: dict[str, EncoderRow] = {row.name: row for row in (*TEXT_ROWS, *IMAGE_ROWS, *SIMPLE_ROWS)}
