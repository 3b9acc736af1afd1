"""What others have published, and how far a run agrees with it.

`cells` reads published.yaml into dataclasses. `comparing` puts a finished run's scores beside them. The
room reads one file of the package and no file of a run; it imports `analysis` and the nouns.
"""
