"""From samples to results: parts are read, become votes, then scenarios, then tables.

Each partition (one engine on one benchmark) is reduced by itself. Where that runs is decided elsewhere.
"""
