"""Scaling laws that know your data."""

__version__ = "0.1.0"
