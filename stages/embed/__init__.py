"""Stage `embed`: one encoder over one field of every item, through the store, into an aligned matrix."""
