"""Secrets are masked wherever a person, a log or a file would show them."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from pyarrow import fs
from support.command import Command, generate_here
from support.s3_server import CREDENTIALS, s3_server

from raysweep.driver import generate
from raysweep.errors import ConfigError, shown
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE
from raysweep.system.safe_text import MASK, without_secrets

ADDRESSES = [
    "s3://AKIA:sesame@bucket/runs",
    "s3://AKIA:ses/ame@bucket/runs",
    "s3://bucket/runs?access_key=sesame&secret_key=sesame&region=x",
    "gs://bucket/runs?access_token=sesame",
    "https://user:sesame@host/file?X-Amz-Signature=sesame",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_shown_without_its_secrets(address: str):
    for said in (Store(address).path("x"), shown(address), str(ConfigError(address))):
        assert "sesame" not in said and "ame@" not in said and MASK in said


def test_what_is_no_secret_is_shown():
    for said in ("hf://datasets/owner/set@0123/file", "s3://b/x?region=eu&scheme=http", "a@b"):
        assert without_secrets(said) == said


def everything_below(address: str) -> Iterator[tuple[str, str]]:
    """The name and the text of every file. Parquet files are unpacked."""
    filesystem, path = fs.FileSystem.from_uri(address)
    for info in filesystem.get_file_info(fs.FileSelector(path, recursive=True)):
        if info.type == fs.FileType.File:
            data = filesystem.open_input_stream(info.path).read()
            text = data.decode(errors="replace")
            if info.path.endswith(".parquet"):
                table = pq.read_table(pa.BufferReader(data))
                text = f"{text}{table.to_pydict()}{table.schema.metadata}"
            yield info.path, text


def test_no_secret_of_an_address_or_the_environment_is_in_what_a_run_prints_or_leaves(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(generate, "generate", generate_here)
    monkeypatch.setenv("HF_TOKEN", "sesame-token")
    monkeypatch.chdir(tmp_path)
    with s3_server() as s3:
        for name in CREDENTIALS:
            if "KEY" in name:
                monkeypatch.delenv(name)
        address = s3.address("runs").replace("s3://", "s3://AKIASESAME:sesame@")
        command = Command(tmp_path, capsys)
        stages = ("verify", "plan", "generate", "reduce", "report")
        status, said = command(*stages, out=address)
        assert status == DONE and "s3://***@bucket/runs/test/report/index.html" in said
        left = dict(everything_below(address))
    run = "bucket/runs/test/"
    assert {run + "config.yaml", run + "report/index.html", run + "scores.parquet"} <= set(left)
    for name, text in {**left, "the terminal": said}.items():
        assert "sesame" not in text.lower(), name
    assert yaml.safe_load(left[run + "config.yaml"])["configuration"]["out"].startswith("s3://***@")
