"""Maintenance of a finished run's folder: grade its answers again, verify every byte of it."""
