"""Many runs beside each other: sweeps, repetitions, comparisons."""
