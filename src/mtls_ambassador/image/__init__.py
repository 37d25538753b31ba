"""Disk images: their partitions and file systems, read and changed in place, without root and without a mount."""
