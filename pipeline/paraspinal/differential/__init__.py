"""Findings to a ranked differential, with the evidence line by line."""
