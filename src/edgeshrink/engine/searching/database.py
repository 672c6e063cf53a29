"""The database in which Optuna keeps trials: opened, and told of where something is wrong."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterator

from optuna.exceptions import ExperimentalWarning
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from edgeshrink.errors import EdgeshrinkError, UsageError
from edgeshrink.texts import shortly

BEAT, GRACE = 5, 30  # seconds between signs of life, and after which a trial without one is dead
PAUSES = (0.5, 1.0, 2.0)  # seconds, where a storage cannot be opened


def opened(url: str) -> RDBStorage:
    """Return Optuna's storage; again where another process makes its tables at this moment.

    Args:
        url: as SQLAlchemy writes it.

    Raises:
        UsageError: it is no such text, or no driver for it is installed.
        sqlalchemy.exc.SQLAlchemyError: it cannot be reached.
    """
    pauses = iter(PAUSES)
    while True:
        try:
            return RDBStorage(url, heartbeat_interval=BEAT, grace_period=GRACE)
        except ImportError as error:
            cause = error.__cause__ or error.__context__
            missing = getattr(cause, "name", None) or "its driver"
            raise UsageError(
                f"no driver for the database {shown(url)} is installed: Python has no {missing}",
                hint="install it, or name another one that is, as in postgresql+psycopg://…",
            ) from error
        except (ArgumentError, NoSuchModuleError, ValueError) as error:
            raise UsageError(
                f"--storage takes a database as SQLAlchemy writes it; received {shown(url)}",
                hint="as in sqlite:///trials.sqlite or postgresql://host/trials",
            ) from error
        except SQLAlchemyError:
            if (pause := next(pauses, None)) is None:
                raise
            time.sleep(pause)


def shown(url: str) -> str:
    """Return a place as it may be told: without a password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except (SQLAlchemyError, ValueError):
        return shortly(url)


@contextlib.contextmanager
def telling(url: str) -> Iterator[None]:
    """Tell what goes wrong where trials are kept, and keep Optuna's own warnings to itself.

    Raises:
        EdgeshrinkError: Optuna or the database raised an error of its own.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            yield
        except Exception as error:
            if not type(error).__module__.startswith(("optuna", "sqlalchemy")):
                raise
            # Optuna says of every error in a commit that the data is invalid; the cause knows
            first = str(error.__cause__ or error).strip().splitlines() or [type(error).__name__]
            raise EdgeshrinkError(
                f"trials cannot be kept in {shown(url)}: {first[0]}",
                hint="the same command goes on where it can be reached again",
            ) from error
