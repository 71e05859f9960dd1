"""Structures of other segmenters: read, checked against the CT, put in place."""
