"""Search: studies over the architectures of generators and designers."""
