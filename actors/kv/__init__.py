"""The KV-cache policies, one per file: what a row keeps of its tokens, and in how many bits.

A policy is a frozen dataclass that knows how many tokens it holds, without a tensor library. To add one,
write its file here and name it in `raysweep.kv_policy.METHODS`, or name your own by its import path.
`protocols` says what an engine asks of a policy, and `eviction` is what the evicting ones share.
"""
