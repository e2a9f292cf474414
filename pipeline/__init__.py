"""How a run is asked for: command line, parameters, paths, settings."""
