"""Adaptive runs: samples are made in rounds, and what cannot change the answer is sampled no more.

A decision is a function of the samples of whole rounds, and of nothing else. So it does not depend on the
order in which samples arrive, and any later command comes to the same decision.
"""
