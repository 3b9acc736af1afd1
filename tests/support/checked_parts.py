"""Parts of a check of a GPU as tests want them: with cases that fail, take long, or end their process."""

import os
import time
from collections.abc import Iterable, Sequence

from benchmarks.check_gpu.rows import Case, Row
from benchmarks.check_gpu.setting import Setting


def _fine() -> Iterable[Row]:
    yield Row("fine", "1 of 1", "1 of 1", True, {"count": 1})


def _raises() -> Iterable[Row]:
    raise ValueError("too few | numbers\nand much more about it")


def _wrong() -> Iterable[Row]:
    yield Row("wrong", "0 of 1", "1 of 1", False)


def _sleeps() -> Iterable[Row]:
    time.sleep(600)
    return []


def _ends() -> Iterable[Row]:
    os._exit(3)


def good(setting: Setting) -> Sequence[Case]:
    return [Case("fine", _fine)]


def failing(setting: Setting) -> Sequence[Case]:
    return [Case("raises", _raises), Case("wrong", _wrong), Case("fine", _fine)]


def without_cases(setting: Setting) -> Sequence[Case]:
    raise ImportError("there is no such module")


def slow(setting: Setting) -> Sequence[Case]:
    return [Case("fine", _fine), Case("sleeps", _sleeps), Case("never", _fine)]


def dying(setting: Setting) -> Sequence[Case]:
    return [Case("fine", _fine), Case("ends", _ends), Case("never", _fine)]
