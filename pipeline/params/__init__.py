"""params.yaml as typed values, the recipes over it, and the catalogue of names that it may use."""
