"""Figures that only the published studies draw."""
