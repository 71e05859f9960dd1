"""Modalities that may be written down: the terms that DICOM defines. Any other text there is somebody's own."""

from __future__ import annotations

# Defined terms of PS3.3 C.7.3.1.1.1, and retired ones; one that is missing here is written as other.
_TERMS = """
    ANN AR ASMT AU BDUS BI BMD CFM CR CT CTPROTOCOL DG DMS DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD IO IOL IVOCT
    IVUS KER KO LEN LS M3D MG MR NM OAM OCT OP OPM OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RG
    RTDOSE RTIMAGE RTINTENT RTPLAN RTRAD RTRECORD RTSEGANN RTSTRUCT RWV SEG SM SMR SR SRF STAIN TEXTUREMAP TG US VA
    XA XAPROTOCOL XC
    AS CD CF CP CS DD DF DM DS EC FA FS LP MA MS OPR ST VF
"""
MODALITIES = frozenset(_TERMS.split())
NOT_STATED = "not stated"
OTHER = "other"


def plain_modality(stated: str) -> str:
    """Return a modality as it may be shown."""
    return stated if stated in MODALITIES or stated == NOT_STATED else OTHER
