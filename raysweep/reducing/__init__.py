"""From samples to results: parts are read and become votes, then scenarios, then tables.

Each partition (one engine on one benchmark) is reduced by itself. The caller decides where that runs.
"""
