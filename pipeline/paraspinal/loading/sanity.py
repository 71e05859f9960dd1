"""Does the anatomy agree with the orientation that a file states?

An image that was mirrored on its way, or a position entered wrongly at the scanner (prone for supine, feet first
for head first: two axes at once), exchanges left and right without a trace in the headers. A mass would then be
reported on the wrong side. The check looks at a coarse copy and speaks only where several signs agree.
"""

from __future__ import annotations

from paraspinal.config import LoadingConfig, OrientationConfig
from paraspinal.loading.coarse import look
from paraspinal.loading.codes import note
from paraspinal.loading.signs import (
    Sign,
    column_sign,
    frame_of,
    front_back_signs,
    head_feet_signs,
    left_right_signs,
    lung_ends,
)
from paraspinal.result import LoadCode
from paraspinal.volume import CTVolume

# One sign alone is read the wrong way by disease or a cut field (engineering default, see docs/loading.md).
_MIN_SIGNS = 2

_CODES: dict[str, LoadCode] = {
    "anterior_posterior": note("orientation_anterior_posterior"),
    "head_feet": note("orientation_head_feet"),
    "left_right": note("orientation_left_right"),
}
# Without these an axis is not judged: the spine itself and the gas that never lies behind it, and the lungs' bases.
_NEEDED: dict[str, tuple[str, ...]] = {
    "anterior_posterior": ("column", "gas"),
    "head_feet": ("lung_ends",),
    "left_right": (),
}

Signs = tuple[Sign, ...]


def check_orientation(
    volume: CTVolume,
    *,
    config: LoadingConfig = LoadingConfig(),  # noqa: B008  (frozen)
) -> tuple[LoadCode, ...]:
    """Return a code for every axis whose direction the anatomy contradicts.

    Nothing is flipped. A caller must not name a side, a level or an organ by its side on a volume with such a code:
    with `orientation_left_right` sides are unknown (the patient may have situs inversus, in which case they are
    right and the organs are not), with `orientation_head_feet` levels are, with `orientation_anterior_posterior`
    all that rests on the spine's place. An analysis should stop there, or go on only when told that the orientation
    is known to be right. No code is no proof: most signs need the lungs' base in view.

    An axis is contradicted where at least two signs speak against it and none for it; for front and back, column
    and gas must be among them, for head and feet the lungs' bases. The table is no sign: it lies in front of a
    prone patient, whose spine lies behind as it should. A patient on the side gives no statement, since the column
    then lies beside the middle; nor does a body of which the field of view cuts off a good part.

    Parameters
    ----------
    volume : CTVolume
        HU [z, y, x] in canonical order.
    config : LoadingConfig
        Its ``orientation`` holds the limits.

    Returns
    -------
    tuple of LoadCode
        Any of `orientation_anterior_posterior`, `orientation_head_feet` and `orientation_left_right`, with the
        scores of its signs as numbers: 1 speaks for the stated direction, -1 against it.
    """
    found = orientation_signs(volume, config=config.orientation)
    return tuple(
        _CODES[axis].model_copy(update={"numbers": {sign.name: round(sign.score, 2) for sign in signs}})
        for axis, signs in found.items()
        if contradicted(signs, needs=_NEEDED[axis])
    )


def orientation_signs(volume: CTVolume, *, config: OrientationConfig) -> dict[str, Signs]:
    """Return the signs seen for each axis; an axis without any was not visible."""
    body = look(volume, config=config)
    if body is None:
        return {"anterior_posterior": (), "head_feet": (), "left_right": ()}
    found = {"anterior_posterior": front_back_signs(body, config=config), "head_feet": (), "left_right": ()}
    column = column_sign(body, config=config).score
    if abs(column) >= 1.0 and body.lungs.any():
        frame = frame_of(body, front=1 if column > 0 else -1)
        ends = lung_ends(body, config=config)
        found["head_feet"] = head_feet_signs(body, ends, frame, config=config)
        found["left_right"] = left_right_signs(body, ends, frame, config=config)
    return found


def contradicted(signs: Signs, *, needs: tuple[str, ...] = ()) -> bool:
    """Tell whether at least two signs speak against an axis, all of `needs` among them, and none for it."""
    against = {sign.name for sign in signs if sign.score <= -1.0}
    none_for = all(sign.score < 1.0 for sign in signs)
    return len(against) >= _MIN_SIGNS and against.issuperset(needs) and none_for
