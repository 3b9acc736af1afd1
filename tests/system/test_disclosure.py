"""What is private is masked in texts, and found in bytes, however it is packed."""

import os

import pytest

from raysweep.reporting.packing import packed
from raysweep.system.disclosure import Private, private_here

PRIVATE = Private({"HF_TOKEN": "hf_sesame"}, ("/home/ada", "s3://bucket/runs"), ("gpu-node-7",))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("token hf_sesame of /home/ada/runs", "token … of …/runs"),
        ("s3://bucket/runs/a on gpu-node-7, not gpu-node-71", "…/a on …, not gpu-node-71"),
        ("/home/adam is another", "/home/adam is another"),
        ("10.1.2.3:6379 and 550.54.15", "… and 550.54.15"),
    ],
)
def test_secrets_places_and_machines_are_masked(text: str, masked: str):
    assert PRIVATE.masked(text) == masked


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("say hf_sesame", "the value of HF_TOKEN"),
        ("at /home/ada.", "the place /home/ada"),
        ("nothing of /home/adam", None),
    ],
)
def test_they_are_found_in_bytes_and_in_packed_data(text: str, found: str | None):
    assert PRIVATE.found_in(text.encode()) == found
    assert PRIVATE.found_in(f'traceData("q0","{packed({"a": text})}")'.encode()) == found


def test_what_only_looks_packed_is_no_fault():
    assert PRIVATE.found_in(b"H4sIAAAA H4sI+++++ H4sIAAAAAAAAA/hf") is None


def test_this_machines_secrets_and_places_are_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MY_API_KEY", "sesame-open")
    monkeypatch.setenv("HOUSE", "sesame-open-too")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("HOME", "/home/ada")
    found = private_here(["s3://ada:open-sesame@bucket/x?secret=sesame-closed"], ["HOUSE"], ["vm"])
    assert set(found.secrets.values()) >= {
        *("sesame-open", "sesame-open-too", "open-sesame", "sesame-closed"),
    }
    assert "false" not in found.secrets.values()
    assert {"/home/ada", os.getcwd(), "s3://ada:open-sesame@bucket/x"} <= set(found.places)
    assert found.hosts == ()  # too short a name to be told from a word
