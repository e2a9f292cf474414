"""The benchmarks run, and their pages say what they measured."""
