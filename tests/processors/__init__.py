"""The numeric tests as other processors would run them: `python -m tests.processors`, which `make test-cpus` calls.

`table` says which combinations there are, `probe` what each of them changes here, `runs` runs the tests.
"""
