"""What tests have worker processes do."""

import os
import time


def echo(*arguments: str) -> list[str]:
    return list(arguments)


def fail(key: str, _: str) -> None:
    raise KeyError(key)


def chatter(*_: str) -> str:
    print('{"result": "loud"}', flush=True)
    os.write(1, b'{"result": "louder"}\n')
    return "quiet"


def process_id(*_: str) -> int:
    return os.getpid()


def hoard(*_: str) -> int:
    """Hold 2 GiB of addresses, none of which is used."""
    return len(bytearray(2 << 30))


def spin(*_: str) -> None:
    while True:
        pass


def hold_the_interpreter(*_: str) -> int:
    """One instruction that lets no other thread run, for minutes."""
    return 3 ** (3**17)


def sleep(*_: str) -> None:
    time.sleep(600)


def crash(*_: str) -> None:
    os.abort()


def leave(*_: str) -> None:
    os._exit(3)
