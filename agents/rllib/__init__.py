"""PPO by RLlib: environment runners and learners in processes of their own, on one machine or on many.

Nothing else of the project imports Ray, and this package is imported only where the engine is chosen.
"""
