"""From a configuration to work: the grid of engines, what is missing, what fits, what it costs.

A plan is a function of the configuration and of what finished parts say of themselves. Nothing here
knows Ray, and no sample is read.
"""
