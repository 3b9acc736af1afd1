"""The one room that starts Ray's actors and tasks: to generate, to prepare checkpoints, to reduce.

It alone imports `actors`. What it does is decided in `scheduling`, so that the same decisions can be
simulated. Ray's exceptions are read here and become kinds of loss.
"""
