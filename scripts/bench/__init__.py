"""The benchmark, `scripts/benchmark`: what loading costs, beside every alternative, in fresh processes."""
