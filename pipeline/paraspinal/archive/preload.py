"""Imported once by the fork server: what an analysis needs, so that no case has to load it."""

from __future__ import annotations

import importlib

_HEAVY = (
    *("numpy", "scipy.ndimage", "scipy.stats", "scipy.spatial", "skimage.measure", "cv2", "cc3d", "edt"),
    *("fill_voids", "imagecodecs", "pydicom", "PIL.Image", "jinja2"),
    *("paraspinal.analysis", "paraspinal.saving", "paraspinal.report", "paraspinal.archive.tasks"),
)

for _name in _HEAVY:
    importlib.import_module(_name)
