"""Airway, lungs, pleural fluid, diaphragm, heart region, aorta."""
