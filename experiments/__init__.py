"""Experiments: one runnable idea a file, `python -m experiments.<name> --help` explaining each."""
