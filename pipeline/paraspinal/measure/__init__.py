"""Measurement records from native voxels."""
