"""Marks on a picture: outlines, lines, labels, patient sides and the scale bar."""

from __future__ import annotations

import base64
import io
from functools import cache

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from paraspinal.report.planes import Cut

Colour = tuple[int, int, int]
Window = tuple[float, float]

SOFT_WINDOW: Window = (400.0, 40.0)
BONE_WINDOW: Window = (1500.0, 300.0)
SPINE_WINDOW: Window = (1000.0, 200.0)

CENTRELINE: Colour = (86, 180, 233)
CERTAIN: Colour = (255, 255, 255)
UNCERTAIN: Colour = (255, 196, 61)
MARK: Colour = (236, 236, 236)
# Okabe and Ito's palette without its dark colours: told apart with any colour vision, and bright on grey.
MASS_COLOURS: tuple[Colour, ...] = (
    (255, 145, 30),
    (64, 200, 160),
    (235, 130, 200),
    (240, 228, 66),
    (110, 170, 255),
)
_SHADOW: Colour = (0, 0, 0)
_SUBPIXEL_BITS = 4
_DASH_PX = 7
_SCALE_BARS_MM = (100, 50, 20, 10, 5)
_MAX_PNG_BYTES = 48 * 1024
_JPEG_QUALITY = 88


def mass_colour(mass_id: int) -> Colour:
    """Return the colour that one mass has in every picture and table."""
    return MASS_COLOURS[(mass_id - 1) % len(MASS_COLOURS)]


def windowed(hu: npt.NDArray[np.int16], window: Window) -> npt.NDArray[np.uint8]:
    """Map Hounsfield units to grey (0-255) with a window of (width, level)."""
    width, level = window
    grey = (hu.astype(np.float32) - (level - width / 2)) * (255.0 / width)
    return np.asarray(np.clip(np.rint(grey), 0, 255), dtype=np.uint8)


def canvas(cut: Cut, window: Window) -> Image.Image:
    """Return a cut as an RGB picture to draw on."""
    return Image.fromarray(windowed(cut.hu, window)).convert("RGB")


def draw_polyline(
    image: Image.Image,
    points: npt.NDArray[np.float64],
    colour: Colour,
    *,
    closed: bool = False,
    dashed: bool = False,
) -> Image.Image:
    """Return the picture with an antialiased line through points (n, 2) in (column, row) order."""
    array = np.array(image)
    pieces = [points]
    if dashed:
        closed, pieces = False, [points[i : i + _DASH_PX] for i in range(0, len(points), 2 * _DASH_PX)]
    scaled = [np.rint(piece * (1 << _SUBPIXEL_BITS)).astype(np.int32) for piece in pieces if len(piece) > 1]
    cv2.polylines(array, scaled, closed, colour, 1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return Image.fromarray(array)


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # Pillow's own font: the same picture on every machine, with or without installed fonts.
    return ImageFont.load_default(size)


def draw_text(
    image: Image.Image, at: tuple[float, float], text: str, *, size: int, colour: Colour, anchor: str = "mm"
) -> float:
    """Write text with a dark rim at a pixel (column, row) and return its width; `anchor` as Pillow names it."""
    pen, font = ImageDraw.Draw(image), _font(size)
    pen.text(at, text, fill=colour, font=font, anchor=anchor, stroke_width=2, stroke_fill=_SHADOW)
    return pen.textlength(text, font=font)


def draw_sides(image: Image.Image, cut: Cut, *, top: bool = True) -> None:
    """Write the patient's sides at the picture's edges, left and right largest, and on request the upper one."""
    left, right, upper = cut.sides[0], cut.sides[1], cut.sides[2]
    size, edge = 20, 8
    draw_text(image, (edge, image.height / 2), left, size=size, colour=MARK, anchor="lm")
    draw_text(image, (image.width - edge, image.height / 2), right, size=size, colour=MARK, anchor="rm")
    if top:
        draw_text(image, (image.width / 2, edge), upper, size=14, colour=MARK, anchor="mt")


def scale_bar_mm(cut: Cut) -> int:
    """Return the longest round length that takes at most a third of the picture's width."""
    third = cut.hu.shape[1] * cut.mm_per_px / 3
    return next((mm for mm in _SCALE_BARS_MM if mm <= third), _SCALE_BARS_MM[-1])


def draw_scale_bar(image: Image.Image, cut: Cut) -> None:
    """Draw a labelled scale bar in the lower right corner."""
    length_mm = scale_bar_mm(cut)
    length = round(length_mm / cut.mm_per_px)
    right, bottom = image.width - 10, image.height - 10
    pen = ImageDraw.Draw(image)
    pen.rectangle((right - length - 1, bottom - 4, right + 1, bottom + 1), fill=_SHADOW)
    pen.rectangle((right - length, bottom - 3, right, bottom), fill=MARK)
    middle = (right - length / 2, bottom - 6)
    draw_text(image, middle, f"{length_mm} mm", size=13, colour=MARK, anchor="mb")


def data_uri(image: Image.Image) -> str:
    """Return a picture as a ``data:`` address: PNG of at most 256 colours where that is small, else JPEG."""
    stream = io.BytesIO()
    image.quantize(256, dither=Image.Dither.NONE).save(stream, "PNG", optimize=True)
    kind = "png"
    if stream.tell() > _MAX_PNG_BYTES:
        stream, kind = io.BytesIO(), "jpeg"
        # Full chroma resolution: thin coloured outlines smear without it.
        image.save(stream, "JPEG", quality=_JPEG_QUALITY, subsampling=0, optimize=True)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
