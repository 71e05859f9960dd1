"""Radiomic features by the definitions of the Image Biomarker Standardisation Initiative (arXiv:1612.07003)."""

from paraspinal.measure.texture.features import measure_ibsi

__all__ = ["measure_ibsi"]
