"""Seals of Parquet files: damage anywhere in a file shows, in its footer too.

Parquet's own checksums cover pages, not the footer that says what and where they are. Readers find the
footer from the file's end and the pages by their offsets, so bytes between the two disturb nobody. There
lies a seal: digests of the footer and of the whole rest, and a mark.

    PAR1  pages …  | digest of the footer | digest of pages and footer | mark |  footer  length  PAR1
"""

import hashlib
import io
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

MAGIC = b"PAR1"
MARK = b"raysweep"
DIGEST_BYTES = 16
SEAL_BYTES = 2 * DIGEST_BYTES + len(MARK)
END_BYTES = 8  # the footer's length, and the magic
FIRST_READ = 1 << 16  # holds a part's footer, mostly


class BrokenSealError(ValueError):
    """The file is not what was written."""


def seal(data: bytes) -> bytes:
    """A whole Parquet file, sealed."""
    start = len(data) - END_BYTES - int.from_bytes(data[-END_BYTES : -len(MAGIC)], "little")
    pages, footer = data[:start], data[start:]
    return b"".join([pages, _seal(pages, footer), footer])


def sealed_metadata(file: pa.NativeFile) -> "FileMetaData":
    """A file's metadata, once its footer is found to be what was written.

    A file without a seal is one of somebody else, or from before there were seals, and is taken as it is.
    Raises BrokenSealError, and whatever pyarrow raises for what is no Parquet.
    """
    size = file.size()
    tail = file.read_at(min(size, FIRST_READ), max(0, size - FIRST_READ))
    wanted = _footer_bytes(tail, size) + SEAL_BYTES
    if wanted > len(tail) and wanted <= size:
        tail = file.read_at(wanted, size - wanted)
    seal, footer = tail[-wanted : -wanted + SEAL_BYTES], tail[-wanted + SEAL_BYTES :]
    if seal.endswith(MARK) and seal[:DIGEST_BYTES] != _digest(footer):
        raise BrokenSealError("its footer is damaged")
    return pq.read_metadata(io.BytesIO(MAGIC + footer))


def check_whole(data: bytes) -> bool:
    """Whether a file has a seal. Raises BrokenSealError unless all of it is what was sealed."""
    end = len(data) - _footer_bytes(data, len(data))
    start = max(0, end - SEAL_BYTES)
    pages, seal, footer = data[:start], data[start:end], data[end:]
    if not seal.endswith(MARK):
        return False
    if seal != _seal(pages, footer):
        raise BrokenSealError("it is not what was written")
    return True


def _footer_bytes(tail: bytes, size: int) -> int:
    """How long the footer is, with the length and the magic behind it."""
    if not tail.endswith(MAGIC) or size < len(MAGIC) + END_BYTES:
        raise BrokenSealError("it does not end as a Parquet file does")
    length = int.from_bytes(tail[-END_BYTES : -len(MAGIC)], "little") + END_BYTES
    if length > size - len(MAGIC):
        raise BrokenSealError("its footer is longer than the file")
    return length


def _seal(pages: bytes, footer: bytes) -> bytes:
    return _digest(footer) + _digest(pages, footer) + MARK


def _digest(*data: bytes) -> bytes:
    made = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for piece in data:
        made.update(piece)
    return made.digest()
