"""The files of a model: its tensors and their bytes, where an engine's files lie, calibration texts.

Files are looked at from outside. What loads or quantises them is in `actors`.
"""
