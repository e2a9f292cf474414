"""Whole projects, run as people run them: by `diptych`, `dvc`, `git` and a shell."""
