"""Synthetic CT series with known truth."""
