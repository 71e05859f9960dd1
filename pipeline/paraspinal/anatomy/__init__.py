"""Structures with evidence and confidence: canal, vertebrae, lungs, ribs, organs."""
