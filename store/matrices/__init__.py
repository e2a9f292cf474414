"""One file of vectors aligned to a data set, row i its item i, as Zarr or HDF5."""
