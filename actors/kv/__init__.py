"""The KV-cache policies, one per file: what a row keeps of its tokens, and in how many bits.

A policy is a frozen dataclass that knows its bytes without a tensor library. To add one, write its file
here and name it in `raysweep.kv_policy.METHODS`, or name your own by its import path.
"""
