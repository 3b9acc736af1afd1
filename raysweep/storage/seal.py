"""Seals of Parquet files, which detect damage anywhere in a file.

Parquet's own checksums cover pages, but not the footer that describes them. Readers find the footer from the
file's end and the pages by their offsets, so they ignore bytes between pages and footer. The seal is there:
a digest of the footer, a digest of pages and footer, and a mark.

    PAR1  pages …  | digest of the footer | digest of pages and footer | mark |  footer  length  PAR1
"""

import hashlib
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pyarrow.parquet import FileMetaData

MAGIC = b"PAR1"
MARK = b"raysweep"
DIGEST_BYTES = 16
SEAL_BYTES = 2 * DIGEST_BYTES + len(MARK)
# A Parquet file ends with the footer's length and the magic, which take 8 bytes together.
END_BYTES = 8
# The first read of a file's end. It holds the footer of most parts.
FIRST_READ = 1 << 16


class BrokenSealError(ValueError):
    """The file has changed since it was written."""


def seal(data: bytes | memoryview) -> bytes:
    """The bytes of a Parquet file with a seal added."""
    data = memoryview(data)  # whose pieces are no copies
    start = len(data) - END_BYTES - int.from_bytes(data[-END_BYTES : -len(MAGIC)], "little")
    pages, footer = data[:start], data[start:]
    return b"".join([pages, _seal(pages, footer), footer])


def sealed_metadata(file: pa.NativeFile) -> "FileMetaData":
    """A file's metadata, after its footer has been checked against the seal.

    A file without a seal comes from another program or an early raysweep and is accepted. Raises
    BrokenSealError, and pyarrow's errors if the file is not Parquet.
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


def opened(file: pa.NativeFile, dictionaries: Sequence[str] = ()) -> pq.ParquetFile:
    """A Parquet file with its footer checked. Pages are checked when they are read.

    dictionaries  columns that are read dictionary-encoded
    """
    metadata = sealed_metadata(file)
    return pq.ParquetFile(
        file,
        metadata=metadata,
        read_dictionary=list(dictionaries),
        page_checksum_verification=True,
    )


def check_whole(data: bytes) -> bool:
    """Whether a file has a seal. Raises BrokenSealError if the file does not match it."""
    view = memoryview(data)  # whose pieces are no copies
    end = len(data) - _footer_bytes(data, len(data))
    start = max(0, end - SEAL_BYTES)
    pages, seal, footer = view[:start], bytes(view[start:end]), view[end:]
    if not seal.endswith(MARK):
        return False
    if seal != _seal(pages, footer):
        raise BrokenSealError("it has changed since it was written")
    return True


def _footer_bytes(tail: bytes, size: int) -> int:
    """The length of the footer, including the length field and the magic after it."""
    if not tail.endswith(MAGIC) or size < len(MAGIC) + END_BYTES:
        raise BrokenSealError("it does not end as a Parquet file does")
    length = int.from_bytes(tail[-END_BYTES : -len(MAGIC)], "little") + END_BYTES
    if length > size - len(MAGIC):
        raise BrokenSealError("its footer is longer than the file")
    return length


def _seal(pages: memoryview, footer: memoryview) -> bytes:
    return _digest(footer) + _digest(pages, footer) + MARK


def _digest(*data: bytes | memoryview) -> bytes:
    made = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for piece in data:
        made.update(piece)
    return made.digest()
