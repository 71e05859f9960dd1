"""Liver, spleen, kidneys and the muscles beside the spine."""
