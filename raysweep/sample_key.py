"""The key of a sample's randomness: a function of what the sample is, and of nothing else."""

import hashlib


def sample_key(seed: int, question_id: str, sample_index: int) -> int:
    """63 bits, the same under every engine and budget, so that configurations are compared in pairs."""
    text = f"{seed}/{question_id}/{sample_index}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
