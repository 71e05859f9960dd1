"""The stable codes of the loader: why an input is refused, and what is worth knowing about one that is not.

Codes are part of the published result. They are listed in docs/loading.md, and a test keeps the two alike.
"""

from __future__ import annotations

from collections.abc import Iterable

from paraspinal.config import LoadingConfig
from paraspinal.errors import LoadError
from paraspinal.result import LoadCode

_SCANNER = "Export the original axial slices of the scan, all of them, and load those."
_RE_EXPORT = "Export the file again from its archive."

REFUSALS: dict[str, str] = {
    "not_found": "Check the path.",
    "empty_input": "Give a folder with a CT series, one of its files, a zip of it, or one NIfTI, NRRD or MetaImage.",
    "unsupported_format": "Give DICOM files, a zip of them, or a NIfTI, NRRD or MetaImage file.",
    "unreadable_file": _RE_EXPORT,
    "too_many_files": "Give the folder of one examination, or raise loading.max_files.",
    "too_large": "Give one series of usual size, or raise the limit that is named under [loading].",
    "zip_damaged": "Pack the folder again.",
    "zip_encrypted": "Unpack the archive with its password and give the folder.",
    "not_an_image_series": "Give the folder that holds the CT images.",
    "not_ct": "Give a CT series; other modalities have no Hounsfield units.",
    "localizer": "Give the axial series, not its localizer (scout, topogram).",
    "projection_image": "Give the slices, not a projection or a rendering of them.",
    "no_pixel_data": _RE_EXPORT,
    "not_grey": "Give the original CT images, not a colour capture of them.",
    "monochrome1": "Export the series with MONOCHROME2 pixels.",
    "bit_depth": _RE_EXPORT,
    "undecodable": "Convert the files to an uncompressed transfer syntax.",
    "truncated_pixel_data": _RE_EXPORT,
    "pixel_data_mismatch": _RE_EXPORT,
    "too_few_slices": _SCANNER,
    "one_position": "Give a series with more than one table position.",
    "duplicate_positions": "Separate the phases or reconstructions, and give one of them.",
    "missing_slices": "Export the series again: slices of it are not here.",
    "duplicate_slices": "Export the series again, or let the loader drop the copies (--policy repair).",
    "repeated_positions": "Separate the phases or scans, or let the loader do it (--policy repair).",
    "position_inferred": "Export the series again, or let the loader place the images (--policy repair).",
    "damaged_slices": "Export the series again: images of it cannot be decoded.",
    "images_left_out": "Export the series again, all slices alike, or let the loader choose (--policy repair).",
    "cone_beam": "Give a diagnostic CT: values of a cone-beam reconstruction are no Hounsfield units.",
    "variable_spacing": "Give a reconstruction with evenly spaced slices.",
    "irregular_positions": "Give a reconstruction whose slices lie in one line.",
    "gantry_tilt": "Give a reconstruction without tilt, or let the loader correct it (--policy repair).",
    "too_oblique": "Give a reconstruction within 25 degrees of the patient's axes.",
    "missing_geometry": _RE_EXPORT,
    "invalid_geometry": _RE_EXPORT,
    "enhanced_multiframe": "Export the series as single-frame CT images.",
    "mixed_rescale": "Give a series whose slices share one conversion to Hounsfield units.",
    "not_hounsfield": "Give a reconstruction in Hounsfield units, not a map derived from one.",
    "four_dimensional": "Split the file into 3-D volumes and give one.",
    "orientation_conflict": "Convert the DICOM series again: the file states two orientations.",
    "orientation_unknown": "Convert the DICOM series again: the file does not say which side is left.",
    "several_volumes": "Give one of the files by its name.",
    "dicomdir_empty": "Give the folder that holds the images.",
    "data_file_missing": "Put the voxels' file beside its header, under the name that the header states.",
}

NOTES: dict[str, str] = {
    "unreadable_file": "Files or folders that could not be read were left out.",
    "images_left_out": "Images under the same Series Instance UID are not part of the volume; left_out says why.",
    "other_files": "Files that are not DICOM were passed over.",
    "dicom_warnings": "The headers depart from the standard in ways that do not touch the images.",
    "uid_missing": "The files carry no Series Instance UID; the series is named by a digest of its content.",
    "sop_class_missing": "The files do not state their object class; they were taken by their modality.",
    "frame_of_reference_differs": "Every image states a frame of reference of its own; they were taken as one.",
    "oblique": "The slices are oblique; voxels are kept as they are, and the geometry carries the angle.",
    "non_axial": "The slices are not axial; the volume was re-ordered, so its slices are not the file's images.",
    "overlapping_slices": "The slices are thicker than their distance.",
    "slice_gap": "The slices are thinner than their distance: tissue between them was not imaged.",
    "thickness_unknown": "The slice thickness is not stated.",
    "position_jitter": "Slice positions depart a little from an even grid; the even grid was taken.",
    "non_square_pixels": "Rows and columns have different spacing.",
    "padding": "Voxels outside the reconstructed field carry a padding value; they are marked and read -1024 HU.",
    "padding_value_ignored": "The stated padding value is a possible tissue value and was not taken as padding.",
    "clipped_to_int16": "Values beyond the range of 16 bits were cut to it.",
    "rescale_missing": "The conversion to Hounsfield units is not stated; the values are such units as they are.",
    "varying_rescale": "The conversion to Hounsfield units differs between slices and was applied slice by slice.",
    "lossy_compression": "The images were compressed with loss; small structures and noise are altered.",
    "unused_bits": "Bits outside the stored value were set and were cleared.",
    "beyond_bits_stored": "Values need more bits than Bits Stored states; they were taken as they are.",
    "narrow_stream": "Compressed values are narrower than Bits Stored; their highest bit was taken as the sign.",
    "coarse_values": "The stored values come in steps of several Hounsfield units.",
    "values_unusual": "No voxel reads as fat or air: this may not be a CT of a body.",
    "enhanced_multiframe": "The slices are frames of a multi-frame object.",
    "virtual_energy": "Virtual monoenergetic images: densities are those of one energy, not of a tube voltage.",
    "monochrome1": "The grey scale is stored for inverted display; the values themselves are upright.",
    "clipped_hu": "The densest values were cut off when the series was made: dense bone and metal read too low.",
    "truncated_field_of_view": "The body reaches beyond the reconstructed field.",
    "kvp_unknown": "The tube voltage is not stated.",
    "mixed_acquisition": "Tube voltage or kernel differ between slices; those of the middle slice are given.",
    "fractional_values": "Values were rounded to whole Hounsfield units.",
    "not_a_number": "Voxels without a number were marked as padding.",
    "orientation_anterior_posterior": "The spine lies in front: the volume is mirrored or turned.",
    "orientation_head_feet": "The lungs lie upside down: the volume is mirrored or turned.",
    "orientation_left_right": "The organs lie on the other side: a mirrored volume, or situs inversus.",
    "nested_archives": "Archives within the input were not opened.",
    "dicomdir_outside": "Records of the DICOMDIR that point outside its folder were not followed.",
    "dicomdir_missing": "Files that the DICOMDIR lists are not there.",
    "dicomdir_unlisted": "Files that the DICOMDIR does not list were ignored.",
}

# What is corrected under the policy "repair" and refused under "strict". The code is the same in both.
REPAIRS: dict[str, str] = {
    "gantry_tilt": "The stack leans; each slice was moved within its plane to where it belongs.",
    "missing_slices": "Slices are missing; they were interpolated.",
    "variable_spacing": "Slices are unevenly spaced; they were interpolated to their finest common or mean spacing.",
    "duplicate_slices": "Images with the position and the pixels of another one were dropped.",
    "repeated_positions": "The series holds several scans; they were separated.",
    "position_inferred": "Images without a position were placed by their instance number.",
    "damaged_slices": "Images that cannot be decoded were left out.",
}


def refuse(code: str, message: str, **details: object) -> LoadError:
    """Return the error of a refusal; raise it where it is built. ``details`` go to ``refusal.json``."""
    return LoadError(message, code=code, remedy=REFUSALS[code], details=details)


def note(code: str, text: str | None = None, *, slices: Iterable[int] = (), **numbers: float) -> LoadCode:
    """Return one entry of the load report, with the text of `NOTES` unless a better one is given."""
    known = NOTES[code]
    return LoadCode(
        code=code,
        text=text or known,
        numbers={name: float(value) for name, value in numbers.items()},
        slices=tuple(slices),
    )


def repaired(
    code: str, text: str | None = None, *, config: LoadingConfig, slices: Iterable[int] = (), **numbers: float
) -> LoadCode:
    """Return the record of a repair; the policy "strict" refuses instead.

    Raises
    ------
    LoadError
        With the same code, if `config.policy` is ``"strict"``.
    """
    words = text or REPAIRS[code]
    if config.policy == "strict":
        raise refuse(code, f"{words} The policy is strict: nothing is repaired.", **numbers)
    return LoadCode(
        code=code,
        kind="repair",
        text=words,
        numbers={name: float(value) for name, value in numbers.items()},
        slices=tuple(slices),
    )
