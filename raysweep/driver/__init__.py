"""The one room that starts Ray's actors and tasks: to generate, to prepare checkpoints, to reduce.

No other room imports `actors`. The decisions are made in `scheduling`, so that they can be simulated too.
Ray's exceptions are read here and become kinds of loss.
"""
