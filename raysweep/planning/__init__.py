"""From a configuration to work: the grid of engines, what is missing, what fits, what it costs.

A plan is a function of the configuration and the metadata of finished parts. Nothing here uses Ray or reads
a sample.
"""
