"""Tests of stages run commands in one folder, on the fake engine."""

from support.command import run

__all__ = ["run"]
