"""Writers of small data sets in the on-disk formats of the published ones, and what runs `prepare` over them."""
