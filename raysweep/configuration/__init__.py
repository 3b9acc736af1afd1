"""From a command line to a validated RunConfig.

composition: Hydra, and where it ends · config: the whole · definitions: the named parts · fields: typed
values at their place · checkpoint: what a model's folder holds · tokens: what fits its context
· identity: what may share a run's folder
"""
