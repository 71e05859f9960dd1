"""The ribs as instances, and the chest wall that they carry."""
