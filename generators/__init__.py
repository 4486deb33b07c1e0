"""Generators: models that learn levels from levels. Empty so far."""
