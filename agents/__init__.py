"""Agents: designers that make levels, trained by reinforcement learning, and the baselines they are compared with."""
