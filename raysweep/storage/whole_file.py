"""A file of samples in memory, with every byte checked."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.storage.damaged import Damage, DamagedPartError
from raysweep.storage.part import Part
from raysweep.storage.part_file import groups_of, notes_of
from raysweep.storage.seal import check_whole, opened


@dataclass(frozen=True)
class WholeFile:
    """A file with the parts in it.

    path    its place as people see it
    sealed  whether it has a seal; of a file without one only the pages can be checked
    """

    name: str
    path: str
    parts: tuple[Part, ...]
    sealed: bool
    file: pq.ParquetFile

    def table(self, part: Part) -> pa.Table:
        """The samples of one of the parts. Raises DamagedPartError."""
        groups = list(groups_of(self.file.metadata, part.shard_id))
        try:
            return self.file.read_row_groups(groups, use_threads=False).replace_schema_metadata(
                None
            )
        except (*Damage, OSError) as error:
            raise DamagedPartError(self.name, self.path, error) from error


def whole_file(name: str, path: str, data: bytes) -> WholeFile:
    """The file with these bytes. Raises DamagedPartError if they have changed since it was written."""
    try:
        sealed = check_whole(data)
        file = opened(pa.BufferReader(data))
        return WholeFile(name, path, notes_of(name, file.metadata.metadata or {}), sealed, file)
    except (*Damage, OSError) as error:
        raise DamagedPartError(name, path, error) from error
