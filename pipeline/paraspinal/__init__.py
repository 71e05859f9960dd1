"""paraspinal: from a CT series to measured findings and a ranked differential of a paraspinal mass."""

__version__ = "0.1.0"
