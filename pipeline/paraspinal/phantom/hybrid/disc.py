"""Infection of a disc in a real scan: a mass's tissue in place of the disc and of bone above and below it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from paraspinal.anatomy.types import Anatomy
from paraspinal.errors import UsageError
from paraspinal.phantom.hybrid.blur import as_scanned
from paraspinal.phantom.hybrid.canal import arc_length
from paraspinal.phantom.hybrid.form import Form
from paraspinal.phantom.hybrid.site import Site
from paraspinal.phantom.spec import MassSpec
from paraspinal.volume import CTVolume

Field = npt.NDArray[np.float32]

_BACK_MM = 8.0  # from the canal's middle to the back of the body
_LEAST_DEPTH_MM = 8.0
_DISC_HALF_MM = 2.5  # the outlined bodies meet in the middle of their disc


def dissolved_disc(
    form: Form,
    site: Site,
    kept: Field,
    spec: MassSpec,
    volume: CTVolume,
    anatomy: Anatomy,
    *,
    hu: float,
    fwhm_mm: float,
    slice_mm: float,
) -> tuple[Form, Field]:
    """Return the form with the disc below its vertebra and the end plates beside it, and what stays there: nothing.

    Raises
    ------
    UsageError
        ``hybrid_no_room`` where the scan shows no vertebra below.
    """
    order = sorted(anatomy.vertebrae, key=lambda v: -v.bottom_mm)
    at = [v.label for v in order].index(spec.level)
    if at + 1 >= len(order):
        raise UsageError(
            f"No vertebra is seen below {spec.level}, so that no disc can be dissolved there.",
            code="hybrid_no_room",
            remedy="Choose a higher level.",
        )
    upper, lower = order[at], order[at + 1]
    middle = arc_length(anatomy, 0.5 * (upper.bottom_mm + lower.top_mm))
    half = 0.5 * abs(upper.bottom_mm - lower.top_mm) + _DISC_HALF_MM + spec.dissolved_mm
    out, ahead, s = site.centre_mm
    half_width, body_ahead = site.body_mm
    lateral = (site.out + np.float32(out)) / (spec.disc_share * half_width)
    half_depth = max(body_ahead - _BACK_MM, _LEAST_DEPTH_MM)
    before = (site.ahead + np.float32(ahead - body_ahead)) / (spec.disc_share * half_depth)
    up = (site.up + np.float32(s - middle)) / half
    part = (lateral**2 + before**2) ** 2 + up**4 < 1.0
    drawn = as_scanned(part, volume.geometry.spacing_mm, fwhm_mm=fwhm_mm, slice_mm=slice_mm)
    over = drawn >= form.share * (1.0 - kept)
    return (
        replace(
            form,
            share=np.where(over, drawn, form.share).astype(np.float32),
            hu=np.where(form.share > 0.05, form.hu, np.float32(hu)).astype(np.float32),
        ),
        np.where(over & (drawn > 0.0), 0.0, kept).astype(np.float32),
    )
