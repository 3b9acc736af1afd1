"""Retries for storage that fails, is slow or is full. Permanent errors are raised at once.

An error is transient if a retry may help: a time-out, a lost connection, a server's 5xx, a stale NFS handle.
Transient errors are retried with exponential back-off and jitter for `PATIENCE_S`. A full disk is retried
for `FULL_PATIENCE_S`, because its operator needs time to make room. Each wait is logged. All other errors
(a missing bucket, a damaged file) are raised at once. `is_refusal` tells those that mean missing rights.
"""

import errno
import logging
import re
from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential_jitter

from raysweep.errors import StorageError, StorageRefused

Result = TypeVar("Result")

PATIENCE_S = 300.0
FULL_PATIENCE_S = 3600.0
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 30.0

FULL = {errno.ENOSPC, errno.EDQUOT}
TRANSIENT = FULL | {
    *(errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.EBUSY),
    *(errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.EPIPE),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EREMOTEIO),
}
# pyarrow gives an object store's answer only as text: the words of AWS's SDK or Google's status codes.
TOLD_AS_TRANSIENT = re.compile(
    r"NETWORK_CONNECTION|REQUEST_TIMEOUT|SLOW_DOWN|THROTTLING|SERVICE_UNAVAILABLE|INTERNAL_FAILURE"
    r"|REQUEST_EXPIRED|HTTP status (5\d\d|429)|curlCode: \d+"
    r"|Status\((UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|INTERNAL|RESOURCE_EXHAUSTED)"
)
REFUSALS = {errno.EPERM, errno.EACCES, errno.EROFS}
TOLD_AS_REFUSAL = re.compile(
    r"ACCESS_?DENIED|INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|EXPIRED_?TOKEN|HTTP status 40[13]"
    r"|Status\((PERMISSION_DENIED|UNAUTHENTICATED)"
)

log = logging.getLogger("raysweep.storage")


def is_transient(error: BaseException) -> bool:
    """Whether the same call may succeed later."""
    if not isinstance(error, OSError):
        return False
    return error.errno in TRANSIENT or bool(TOLD_AS_TRANSIENT.search(str(error)))


def is_refusal(error: OSError) -> bool:
    """Whether the storage refuses the call for want of rights, or since it is mounted read-only."""
    return error.errno in REFUSALS or bool(TOLD_AS_REFUSAL.search(str(error)))


def refused(name: str, error: OSError, changes: bool) -> StorageRefused:
    """The error for a file in the run's folder that the storage refuses to change, or to give."""
    return StorageRefused(
        f"storage: {name} in the run's folder cannot be {'written' if changes else 'read'} ({error}); give "
        "this user the right to read and write there, or mend what stands in the way, and run the same "
        "command to continue"
    )


def patience_s(error: BaseException | None) -> float:
    """For how many seconds a call with this error is retried."""
    return FULL_PATIENCE_S if isinstance(error, OSError) and error.errno in FULL else PATIENCE_S


def persistently(call: Callable[[], Result], what: str) -> Result:
    """The result of `call`, which is retried while its errors are transient.

    `call` must be safe to repeat, and `what` names it in messages. Raises StorageError when time is up.
    """
    try:
        return call()
    except OSError as error:
        if not is_transient(error):
            raise
        failed = [error]

    def again() -> Result:
        # The first call has been made already: most calls succeed, and retrying costs more than they do.
        if failed:
            raise failed.pop()
        return call()

    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        wait=wait_exponential_jitter(
            multiplier=FIRST_WAIT_S, max=LONGEST_WAIT_S, jitter=FIRST_WAIT_S
        ),
        stop=_patience_is_over,
        before_sleep=lambda state: _tell(what, state),
        reraise=True,
    )
    try:
        return retrying(again)
    except OSError as error:
        if not is_transient(error):
            raise
        raise StorageError(
            f"storage: {what} failed for {patience_s(error):g} s ({error}); repair the storage, and run "
            "the same command to continue"
        ) from error


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _patience_is_over(state: RetryCallState) -> bool:
    return (state.seconds_since_start or 0.0) >= patience_s(_error(state))


def _tell(what: str, state: RetryCallState) -> None:
    error, wait_s = _error(state), state.next_action.sleep if state.next_action else 0.0
    way_out = "make room" if patience_s(error) == FULL_PATIENCE_S else "it may pass"
    log.warning("storage: %s failed (%s); %s, next try in %.1f s", what, error, way_out, wait_s)
