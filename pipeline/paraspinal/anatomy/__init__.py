"""Structures with evidence and confidence: canal, vertebrae, lungs, ribs, organs."""

from paraspinal.anatomy.segment import native_labels, segment_anatomy
from paraspinal.anatomy.types import Anatomy, Organ, Vertebra

__all__ = ["Anatomy", "Organ", "Vertebra", "native_labels", "segment_anatomy"]
