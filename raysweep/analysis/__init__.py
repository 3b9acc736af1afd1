"""What follows from scores and bytes: intervals, candidates, the scale threshold, the recommendation.

Pure functions over arrays and plain values. Nothing here reads or writes a file, and neither pandas,
pyarrow nor Ray may be imported.
"""
