"""DICOM and NIfTI as formats: headers, frame decoding, writing."""
