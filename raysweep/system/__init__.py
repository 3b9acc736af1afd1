"""What any program needs: worker processes, signals, safe text, imports by name, names by content.

Nothing here knows what raysweep computes, and no other room may enter.
"""
