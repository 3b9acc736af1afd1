"""Where a run's files lie: addresses, files on any file system, what to do when storage fails, and seals.

`Store` (raysweep/storage/store.py) is what the rest of raysweep sees of it.
"""
