"""From a command line to a validated RunConfig.

composition        the command line and conf/, composed by Hydra; Hydra ends here
config             the whole configuration
definitions        named parts: families, precisions, KV policies, benchmarks, kinds of GPU
fields             typed values, each with its place for error messages
checkpoint_folder  what a model's folder holds
token_checks       what fits a model's context
identity           what may share a run's folder
"""
