"""The games of the PCG Benchmark, one file each; see `envs.criteria`."""
