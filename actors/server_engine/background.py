"""An event loop in a thread of its own, for coroutines whose results an engine takes in between its steps."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")
Name = TypeVar("Name")


class Background(Generic[Name]):
    """Runs coroutines. Those that were started with a name are collected as they end."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._ended: SimpleQueue[tuple[Name, Future[Any]]] = SimpleQueue()
        self._thread = Thread(target=self._loop.run_forever, name="server requests", daemon=True)
        self._thread.start()

    def wait_for(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of a coroutine, once it has ended."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def call(self, make: Callable[[], Result]) -> Result:
        """What `make` returns in the loop's thread."""

        async def called() -> Result:
            return make()

        return self.wait_for(called())

    def start(self, name: Name, work: Coroutine[Any, Any, Any]) -> None:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        future.add_done_callback(lambda done: self._ended.put((name, done)))

    def ended(self, wait_s: float) -> list[tuple[Name, Future[Any]]]:
        """What has ended, by name. Waits up to `wait_s` seconds for the first."""
        found = []
        with suppress(Empty):
            found.append(self._ended.get(timeout=wait_s))
            while True:
                found.append(self._ended.get_nowait())
        return found

    def close(self) -> None:
        """Cancel what is running, and end the thread."""
        self.wait_for(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
