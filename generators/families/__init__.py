"""The families of generators: one file each, which exports its class as FAMILY."""
