"""Makes one multi-frame object out of single CT images: Enhanced CT, or Legacy Converted Enhanced CT.

PS3.3 A.38 (both IODs), C.7.6.16 (functional groups), C.7.6.17 (dimensions), C.8.15 (CT's own groups).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import Tag
from pydicom.uid import UID, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

# What the functional groups say instead, or what is each image's own.
_PER_IMAGE = (
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("RescaleSlope", "RescaleIntercept", "RescaleType", "WindowCenter", "WindowWidth", "PixelData"),
    *("KVP", "ConvolutionKernel", "Exposure", "AcquisitionNumber"),
)
_STACK = "1"


def enhanced_dataset(images: Sequence[Dataset], *, uid: UID, legacy: bool) -> Dataset:
    """Return the multi-frame data set of single images of one series, without pixel data.

    Parameters
    ----------
    images : sequence of Dataset
        CT images of one size and one way of storing values; their order is that of the frames.
    uid : UID
        SOP Instance UID of the new object.
    legacy : bool
        Legacy Converted Enhanced CT: what the single images say is kept beside the functional groups.
    """
    first = images[0]
    ds = Dataset()
    for element in first:
        if element.keyword not in _PER_IMAGE:
            ds.add(copy.copy(element))  # shared, it would change the first image, too
    ds.SOPClassUID = LegacyConvertedEnhancedCTImageStorage if legacy else EnhancedCTImageStorage
    ds.SOPInstanceUID = uid
    ds.InstanceNumber = 1
    ds.NumberOfFrames = len(images)
    ds.ImageType = frame_type(first)
    ds.AcquisitionDateTime = f"{first.AcquisitionDate}{first.AcquisitionTime}"
    ds.AcquisitionDuration = 1.0
    ds.ContentQualification = "RESEARCH"
    ds.PixelPresentation = "MONOCHROME"
    ds.VolumetricProperties = "VOLUME"
    ds.VolumeBasedCalculationTechnique = "NONE"
    ds.PresentationLUTShape = "IDENTITY"
    ds.DeviceSerialNumber = "0"
    ds.SoftwareVersions = "0"
    ds.AcquisitionContextSequence = DicomSequence([])
    _add_dimensions(ds, uid)
    orientations = {tuple(i.ImageOrientationPatient) for i in images}
    measures = {(*i.PixelSpacing, i.SliceThickness) for i in images}
    shared = Dataset()
    if len(orientations) == 1:
        _add_orientation(shared, first)
    if len(measures) == 1:
        _add_measures(shared, first)
    _add_common_groups(shared, first)
    ds.SharedFunctionalGroupsSequence = DicomSequence([shared])
    ranks = _ranks(images)
    frames = []
    for image, rank in zip(images, ranks, strict=True):
        frame = Dataset()
        _add_place(frame, image, rank)
        if len(orientations) > 1:
            _add_orientation(frame, image)
        if len(measures) > 1:
            _add_measures(frame, image)
        frames.append(frame)
    if legacy:
        _add_conversion(ds, shared, frames, images)
    ds.PerFrameFunctionalGroupsSequence = DicomSequence(frames)
    return ds


def frame_type(image: Dataset) -> list[str]:
    """Return Image Type in four values: those of CT, and NONE for how it was derived (PS3.3 C.8.16.1)."""
    kind = [*image.ImageType, "NONE", "NONE"][:4]
    return [kind[0], "PRIMARY", "VOLUME" if kind[2] == "AXIAL" else kind[2], kind[3]]


def _ranks(images: Sequence[Dataset]) -> list[int]:
    """Return the number of each image along the normal of the first, 1 for the lowest place."""
    row, column = np.reshape(np.asarray(images[0].ImageOrientationPatient, float), (2, 3))
    along = np.asarray([i.ImagePositionPatient for i in images], float) @ np.cross(row, column)
    places = np.unique(np.round(along, 4))
    return [int(np.searchsorted(places, round(float(a), 4))) + 1 for a in along]


def _add_dimensions(ds: Dataset, uid: UID) -> None:
    """State that frames are counted by stack and by place in the stack."""
    organization = UID(f"{uid}.1") if len(uid) < 62 else UID(f"{uid[:-2]}.1")
    owner = Dataset()
    owner.DimensionOrganizationUID = organization
    ds.DimensionOrganizationSequence = DicomSequence([owner])
    indices = []
    for keyword in ("StackID", "InStackPositionNumber"):
        index = Dataset()
        index.DimensionOrganizationUID = organization
        index.DimensionIndexPointer = Tag(keyword)
        index.FunctionalGroupPointer = Tag("FrameContentSequence")
        indices.append(index)
    ds.DimensionIndexSequence = DicomSequence(indices)


def _add_orientation(group: Dataset, image: Dataset) -> None:
    item = Dataset()
    item.ImageOrientationPatient = image.ImageOrientationPatient
    group.PlaneOrientationSequence = DicomSequence([item])


def _add_measures(group: Dataset, image: Dataset) -> None:
    item = Dataset()
    item.PixelSpacing = image.PixelSpacing
    item.SliceThickness = image.SliceThickness
    group.PixelMeasuresSequence = DicomSequence([item])


def _add_common_groups(group: Dataset, image: Dataset) -> None:
    """Add what every frame of a series shares: conversion to HU, window, tube, kernel, anatomy."""
    kind = Dataset()
    kind.FrameType = frame_type(image)
    kind.PixelPresentation = "MONOCHROME"
    kind.VolumetricProperties = "VOLUME"
    kind.VolumeBasedCalculationTechnique = "NONE"
    group.CTImageFrameTypeSequence = DicomSequence([kind])
    values = Dataset()
    values.RescaleSlope, values.RescaleIntercept = image.RescaleSlope, image.RescaleIntercept
    values.RescaleType = image.get("RescaleType", "HU")
    group.PixelValueTransformationSequence = DicomSequence([values])
    window = Dataset()
    window.WindowCenter, window.WindowWidth = image.WindowCenter, image.WindowWidth
    group.FrameVOILUTSequence = DicomSequence([window])
    reconstruction = Dataset()
    reconstruction.ReconstructionAlgorithm = "FILTER_BACK_PROJ"
    reconstruction.ConvolutionKernel = image.ConvolutionKernel
    group.CTReconstructionSequence = DicomSequence([reconstruction])
    if image.get("KVP") is not None:
        tube = Dataset()
        tube.KVP = float(image.KVP)
        group.CTXRayDetailsSequence = DicomSequence([tube])
    if image.get("Exposure") is not None:
        exposure = Dataset()
        exposure.ExposureInmAs = float(image.Exposure)
        group.CTExposureSequence = DicomSequence([exposure])
    chest = Dataset()
    chest.CodeValue, chest.CodingSchemeDesignator, chest.CodeMeaning = "51185008", "SCT", "Thorax"
    anatomy = Dataset()
    anatomy.AnatomicRegionSequence = DicomSequence([chest])
    anatomy.FrameLaterality = "U"
    group.FrameAnatomySequence = DicomSequence([anatomy])


def _add_place(frame: Dataset, image: Dataset, rank: int) -> None:
    content = Dataset()
    content.FrameAcquisitionNumber = int(image.AcquisitionNumber)
    content.FrameReferenceDateTime = f"{image.AcquisitionDate}{image.AcquisitionTime}"
    content.FrameAcquisitionDateTime = content.FrameReferenceDateTime
    content.FrameAcquisitionDuration = 1.0
    content.StackID = _STACK
    content.InStackPositionNumber = rank
    content.DimensionIndexValues = [1, rank]
    frame.FrameContentSequence = DicomSequence([content])
    place = Dataset()
    place.ImagePositionPatient = image.ImagePositionPatient
    frame.PlanePositionSequence = DicomSequence([place])


def _add_conversion(
    ds: Dataset, shared: Dataset, frames: Sequence[Dataset], images: Sequence[Dataset]
) -> None:
    """Keep what no functional group says, and name the images that were converted (PS3.3 C.7.6.16.2.25)."""
    common = Dataset()
    common.ConvolutionKernel = images[0].ConvolutionKernel
    common.KVP = images[0].KVP
    shared.UnassignedSharedConvertedAttributesSequence = DicomSequence([common])
    for frame, image in zip(frames, images, strict=True):
        own = Dataset()
        own.InstanceNumber = image.InstanceNumber
        frame.UnassignedPerFrameConvertedAttributesSequence = DicomSequence([own])
        source = Dataset()
        source.ReferencedSOPClassUID = image.SOPClassUID
        source.ReferencedSOPInstanceUID = image.SOPInstanceUID
        frame.ConversionSourceAttributesSequence = DicomSequence([source])
    purpose = Dataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator = "109106", "DCM"
    purpose.CodeMeaning = "Enhanced Multi-frame Conversion Equipment"
    equipment = Dataset()
    equipment.Manufacturer = images[0].Manufacturer
    equipment.PurposeOfReferenceCodeSequence = DicomSequence([purpose])
    ds.ContributingEquipmentSequence = DicomSequence([equipment])
