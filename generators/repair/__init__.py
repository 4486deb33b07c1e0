"""Repair: minimal edits that make levels playable, a step of its own that is counted apart from generation."""

from generators.repair.goal import GOALS
from generators.repair.mending import METHODS, Repairs, repair

__all__ = ["GOALS", "METHODS", "Repairs", "repair"]
