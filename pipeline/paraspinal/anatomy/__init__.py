"""Structures with evidence and confidence: canal, vertebrae, lungs, ribs, organs."""

from paraspinal.anatomy.native import native_labels
from paraspinal.anatomy.segment import segment_anatomy
from paraspinal.anatomy.types import Anatomy, Organ, Vertebra

__all__ = ["Anatomy", "Organ", "Vertebra", "native_labels", "segment_anatomy"]
