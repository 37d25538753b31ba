"""Faults to order, against a real gateway under traffic, and a history that is checked afterwards: `make torture`."""
