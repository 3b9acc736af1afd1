"""KV policies, one a file, and the cache in which they keep what they keep.

A policy's own file holds its parameters, how many tokens it keeps and how it scores them:
full, streaming_llm, r_kv, snap_kv, h2o, quantized. Behind them: `cache` (rows, forks, attention),
`slots` and `packing` (numbers in two formats), `settling` and `eviction` (what packing and evicting do).
"""
