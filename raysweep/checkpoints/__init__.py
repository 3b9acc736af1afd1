"""The files of a model: its tensors and their bytes, the place of an engine's files, calibration texts.

Nothing here loads or quantises a tensor. That code is in `actors`.
"""
