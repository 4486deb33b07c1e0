"""Slow, obvious twins of the kernels, in plain Python and networkx, which random tests compare them with."""
