"""Values and nothing else: no I/O, no clock."""
