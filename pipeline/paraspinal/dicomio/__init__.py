"""DICOM and NIfTI as formats: headers, frames, and files; nothing here knows what a series is."""
