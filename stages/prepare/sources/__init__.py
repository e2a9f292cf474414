"""Where items come from, one file per source; `catalog` lists them."""
