"""Everything zdqn raises on purpose, one class per thing a caller can do about it.

::

    ZdqnError                  exit code
    ├── UsageError             2    an argument of a command or function is wrong
    ├── PeerUnavailableError   69   a server did not answer in the time it was given
    ├── EnvironmentFailedError 70   the environment raised, or returned what it may not
    ├── CallbackFailedError    70   a function of the user's that is told what happens raised
    ├── RoleFailedError        70   something inside zdqn broke; a bug, or a machine out of room
    ├── AddressInUseError      73   another process holds the address
    ├── RunDirectoryTakenError 73   another process, or another run, has the run directory
    ├── FileError              74   a file could not be read or written
    ├── FencedError            75   a newer learner has taken over this run
    ├── PreemptedError         75   a learner's machine is wanted; its run waits for the next start
    ├── MismatchError          76   the peer speaks another protocol, environment or configuration
    │   └── ProtocolError           a message that breaks the wire protocol
    ├── NotAllowedError        77   a key is missing, unsafe, or not allowed to do this
    └── ConfigError            78   the configuration names a value that cannot work

A user's mistake ends in one of these: one paragraph that names the value, the rule and the way
out. The exit codes follow BSD's ``sysexits.h`` and say to a supervisor whether starting again can
help: it can after 69, 70, 74 and 75 and after a signal, never after 2, 73, 76, 77 and 78.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ZdqnError(Exception):
    """Base of all errors that zdqn raises on purpose."""

    exit_code = 70


class UsageError(ZdqnError):
    """An argument of a command or of a function cannot be used as given."""

    exit_code = 2


class PeerUnavailableError(ZdqnError):
    """A server did not answer in the time it was given."""

    exit_code = 69


class EnvironmentFailedError(ZdqnError):
    """The environment raised, or returned something that it may not return."""

    exit_code = 70


class CallbackFailedError(ZdqnError):
    """A function of the user's, which is told what happens, raised."""

    exit_code = 70


class RoleFailedError(ZdqnError):
    """A role cannot go on for a reason that is not the user's."""

    exit_code = 70


class AddressInUseError(ZdqnError):
    """Another process holds the address."""

    exit_code = 73


class RunDirectoryTakenError(ZdqnError):
    """Another process uses the run directory, or the files of another run are in it."""

    exit_code = 73


class FileError(ZdqnError):
    """A file could not be read or written."""

    exit_code = 74


class FencedError(ZdqnError):
    """A newer learner has taken over this run."""

    exit_code = 75


class PreemptedError(ZdqnError):
    """A learner went away because its machine was wanted; its run goes on when it is started."""

    exit_code = 75


class MismatchError(ZdqnError):
    """The peer speaks another protocol version, environment or configuration."""

    exit_code = 76


class ProtocolError(MismatchError):
    """A message breaks the wire protocol."""


class NotAllowedError(ZdqnError):
    """A key is missing, is kept where others can read it, or does not allow what was asked."""

    exit_code = 77


class ConfigError(ZdqnError):
    """The configuration holds a value that cannot work."""

    exit_code = 78


def what_went_wrong(error: BaseException) -> str:
    """Give what an error says, without the file's name: the sentence around it has that already.

    Args:
        error: of the system, of a parser, or of a package that read a file.

    Returns:
        Words without a point at their end.
    """
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).strip().rstrip(".")
    if isinstance(error, LookupError) or not text:  # whose text alone is a key, or nothing
        return f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text


_MOST_LISTED = 40


def did_you_mean(name: str, known: Iterable[str], *, label: str = "Known") -> str:
    """Say which known names are close to an unknown one, or list them all if they are few.

    Args:
        name: what was written.
        known: what could have been written.
        label: the word before the full list.

    Returns:
        A sentence such as ``Did you mean "capacity"?`` or ``Known: capacity, kind.``
    """
    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.6)
    if close:
        return "Did you mean " + " or ".join(f'"{candidate}"' for candidate in close) + "?"
    if len(names) > _MOST_LISTED:
        nearest = difflib.get_close_matches(name, names, n=5, cutoff=0.0)
        return f"{label}: {len(names)} names, of which the nearest are {', '.join(nearest)}."
    return f"{label}: {', '.join(names)}."
