"""Random signs in the organs that EMH keeps company with: blood pool, heart, small spleen, effusion of blood."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from paraspinal.phantom import PhantomSpec


def draw_company(spec: PhantomSpec, rng: np.random.Generator) -> PhantomSpec:
    """Return the body with anaemia in two fifths, iron of the heart in an eighth, blood in a third of the effusions.

    Three tenths of the spleens below 60 mL by design are calcified remnants.
    """
    draws, o = rng.uniform(size=4), spec.organs
    wall_hu, anaemic_hu, usual_hu, iron_hu = (
        round(float(rng.uniform(*ends)), 1)
        for ends in ((45.0, 50.0), (24.0, 36.0), (40.0, 46.0), (72.0, 88.0))
    )
    thin, layer = round(float(rng.uniform(20.0, 45.0)), 1), round(float(rng.uniform(50.0, 70.0)), 1)
    o = replace(
        o,
        blood_hu=anaemic_hu if draws[0] < 0.4 else usual_hu,
        aorta_wall_hu=wall_hu,
        aorta_wall_mm=1.5,
        myocardium_hu=iron_hu if draws[1] < 0.125 else 48.0,
    )
    if draws[2] < 1.0 / 3.0:
        o = replace(o, effusion_hu=thin, effusion_layer_hu=layer)
    if draws[3] < 0.3 and o.spleen_scale < 0.8:
        o = replace(o, spleen_scale=0.25, spleen_calcium=0.6)
    return replace(spec, organs=o)
