"""The representations: one file each, exporting REPRESENTATION."""
