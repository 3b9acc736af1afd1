"""How a request to a server fails."""


class ServerUnavailable(RuntimeError):  # noqa: N818 - the driver knows it by this name
    """The server was away for too long. The message is one line."""


class ServerRefused(ValueError):  # noqa: N818
    """The server, or what it says, cannot be used. The message is one line."""


class BadAnswer(RuntimeError):  # noqa: N818
    """An answer that cannot be right, though another attempt may be."""


class Overdue(RuntimeError):  # noqa: N818
    """A request took longer than its deadline."""


class Failure(RuntimeError):  # noqa: N818
    """An attempt that failed, and may be repeated.

    unclear   whether the request itself may be the cause, or the server is away behind a proxy
    too_many  whether the server had too much to do
    after_s   seconds that the server asks to wait
    """

    def __init__(
        self, reason: str, unclear: bool = False, too_many: bool = False, after_s: float = 0.0
    ):
        super().__init__(reason)
        self.unclear, self.too_many, self.after_s = unclear, too_many, after_s
