"""Measures performance side by side with other tools in one run: `python -m benchmarks.engine`."""
