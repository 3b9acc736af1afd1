"""A run's files: addresses, access to any file system, retries when storage fails, leases and seals.

The rest of raysweep uses it through `Store` (raysweep/storage/store.py).
"""
