"""How many requests are sent to a server at a time: more with each answer, half as many if it is too much.

As TCP does it: the window doubles per round of answers until the server first refuses, then it grows by one
per round. An outage, in which every request is refused, is one refusal, so the window is not lost in it.
"""

import asyncio
import math

# Requests under way before anything is known of the server.
FIRST = 8


class Window:
    """Lets at most `size` requests be under way at a time; a context for each. For one event loop.

    most  the window's largest size
    """

    def __init__(self, most: int, first: int = FIRST):
        self.most, self.size = most, float(min(first, most))
        self.under_way = 0
        self._slow_from = math.inf
        self._answered = True
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.under_way < int(self.size))
            self.under_way += 1

    async def __aexit__(self, *_: object) -> None:
        async with self._changed:
            self.under_way -= 1
            self._changed.notify_all()

    def answered(self) -> None:
        """The server has answered a request."""
        self._answered = True
        grown = self.size + (1 if self.size < self._slow_from else 1 / self.size)
        self.size = min(float(self.most), grown)

    def refused(self) -> None:
        """The server has refused a request as one too many, or took too long for it."""
        if self._answered:
            self.size = self._slow_from = max(1.0, self.size / 2)
            self._answered = False
