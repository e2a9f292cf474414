"""`diptych store` and `diptych export`: look at the feature store, care for it, carry it."""
