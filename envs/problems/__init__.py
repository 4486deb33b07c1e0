"""The problems: one file each, exporting PROBLEM."""
