"""Paravertebral compartments, coverage and the candidates that nothing explains."""
