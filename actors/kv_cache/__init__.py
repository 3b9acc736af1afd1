"""The KV cache of a batch: its rows and slots, one decoding step over them, packing and compaction.

Policies say what is kept and how; they are in `actors.kv`, and this room asks them.
"""
