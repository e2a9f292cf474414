"""Where items come from: scenes that are drawn here, somebody's own table, published data sets."""
