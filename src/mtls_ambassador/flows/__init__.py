"""The stories: one file each, joining decisions with I/O."""
