"""What any program needs of its machine: worker processes, signals, safe text, imports by name.

Nothing here knows what raysweep computes, and no other room may enter.
"""
