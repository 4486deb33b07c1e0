"""The window of `python -m experiments.play`: a menu and a scene for each thing to do with designers and levels."""
