"""The folder with a machine's keys, and with the lists of those that its servers let in.

For each role there is ``ROLE.secret`` and ``ROLE.public``, and for each that connects to a server
the list ``allowed/ROLE``. A machine needs the secrets of the roles that it runs, the public keys
of memory and learner, and, where a server runs, the lists.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from zdqn.errors import FileError, NotAllowedError, UsageError
from zdqn.wire.keys.allow_list import (
    CLIENT_KEYS,
    KEY_ROLES,
    AllowList,
    Caller,
    KeyRole,
    format_line,
    is_comment,
    parse_line,
    parse_lists,
)
from zdqn.wire.keys.key_pairs import (
    KeyPair,
    first_letters,
    from_secret,
    generate,
    is_key,
    parse_key,
)
from zdqn.wire.keys.private_files import (
    check_private_folder,
    make_private_folder,
    read_private,
    replace_private,
    write_private,
)
from zdqn.wire.library import check_curve

_BEFORE_SECRET = "secret "  # noqa: S105 - the word itself
"""Before a secret, so that none is taken for a public key."""
_LEAST_LETTERS = 4
"""Of a key that is to be revoked, if not its name is given."""


@dataclass(frozen=True)
class OwnKey:
    """A key of this folder.

    Attributes:
        role: what it is for.
        name: of who made it.
        pair: the key.
    """

    role: KeyRole
    name: str
    pair: KeyPair

    def __str__(self) -> str:
        return str(Caller(self.role, self.name, self.pair.public))


class KeyFolder:
    """Keys and lists of allowed keys in a folder that only its owner can enter.

    Args:
        path: of the folder.

    Raises:
        ConfigError: when the ZeroMQ of this machine knows no keys.
    """

    def __init__(self, path: Path) -> None:
        check_curve()
        self.path = path
        self._lists = path / "allowed"

    # --- keys -----------------------------------------------------------------------------------

    def init(self, roles: Iterable[KeyRole] = KEY_ROLES) -> list[OwnKey]:
        """Make a key for each role, and let in those that connect.

        Args:
            roles: whose.

        Raises:
            NotAllowedError: when one is there already, or others can enter the folder.
            FileError: when the folder cannot be written.
        """
        roles = tuple(roles)
        with self._file_errors():
            make_private_folder(self.path)
            make_private_folder(self._lists)
            for role in roles:
                if self._secret(role).exists():
                    raise NotAllowedError(
                        f"{self._secret(role)} exists: who has been given its public key would "
                        f"know another no more. Remove it to make a new one, or give another "
                        f"folder with --keys."
                    )
            return [self._make(role) for role in roles]

    def _make(self, role: KeyRole) -> OwnKey:
        made = OwnKey(role, f"{role}@{socket.gethostname()}", generate())
        replace_private(self._public(role), format_line(made.pair.public, made.name))
        write_private(self._secret(role), f"{_BEFORE_SECRET}{made.pair.secret.hex()}\n")
        if role in CLIENT_KEYS:
            self._add(role, made.pair.public, made.name)
        return made

    def own(self, role: KeyRole) -> OwnKey:
        """Read a role's own key.

        Raises:
            NotAllowedError: when there is none, or others can read it.
            FileError: when it cannot be read.
        """
        path = self._secret(role)
        with self._file_errors():
            self._check_folder()
            try:
                text = read_private(path)
            except FileNotFoundError as error:
                raise NotAllowedError(
                    f"There is no {path}, the key of this {role}. `zdqn keys init --keys "
                    f"{self.path} --role {role}` makes one, which the servers' folders must allow; "
                    f"or copy one from where keys were made."
                ) from error
            pair = from_secret(parse_key(text.strip().removeprefix(_BEFORE_SECRET), what=str(path)))
            return OwnKey(role, self._name(role), pair)

    def public(self, role: KeyRole) -> bytes:
        """Read a role's public key.

        Raises:
            NotAllowedError: when there is none.
            FileError: when it cannot be read.
        """
        path = self._public(role)
        try:
            read = self._read_public(path)
        except FileNotFoundError as error:
            raise NotAllowedError(
                f"There is no {path}, by which the {role} is known. Copy it from the folder of "
                f"keys with which the {role} runs."
            ) from error
        if read is None:
            raise NotAllowedError(f"{path} holds no key. Copy it from where the {role} runs.")
        return read[0]

    def _read_public(self, path: Path) -> tuple[bytes, str] | None:
        """Read a key and its name from a file; None if there is none in it.

        Raises:
            FileNotFoundError: when there is no file.
            FileError: when it cannot be read.
        """
        try:
            return parse_line(path.read_text(encoding="utf-8", errors="replace"))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _file_error(error, path) from error

    def own_roles(self) -> list[KeyRole]:
        """Say which roles have a key here.

        Raises:
            NotAllowedError: when the folder is not there, or others can enter it.
        """
        with self._file_errors():
            self._check_folder()
            return [role for role in KEY_ROLES if self._secret(role).exists()]

    def _name(self, role: KeyRole) -> str:
        try:
            read = self._read_public(self._public(role))
        except (FileNotFoundError, FileError):
            return ""
        return read[1] if read is not None else ""

    # --- who is let in --------------------------------------------------------------------------

    def allowed(self) -> AllowList:
        """Read who is let in.

        Raises:
            NotAllowedError: when others could change a list.
            FileError: when one cannot be read.
        """
        with self._file_errors():
            self._check_folder()
            paths = [(role, self._list(role)) for role in CLIENT_KEYS]
            return parse_lists(
                (role, str(path), read_private(path)) for role, path in paths if path.exists()
            )

    def signature(self) -> tuple[object, ...]:
        """Give what differs when a list was changed; quick."""
        found: list[tuple[int, int, int] | None] = []
        for role in CLIENT_KEYS:
            try:
                status = self._list(role).stat()
            except OSError:
                found.append(None)
            else:
                found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)

    def allow(self, role: KeyRole, given: str, name: str | None = None) -> Caller:
        """Let a key in.

        Args:
            role: what it may do.
            given: the public key, or the path of the file that holds it.
            name: what to call it; by default as its file says.

        Raises:
            NotAllowedError: when there is no key, or it is allowed as another role.
            FileError: when the list cannot be written.
        """
        if is_key(given):
            public, named = bytes.fromhex(given), ""
        else:
            public, named = self._given(Path(given))
        known = self.allowed().caller(public)
        if known.role is not None:
            raise NotAllowedError(
                f"The {known} is allowed already. A key has one role: `zdqn keys revoke "
                f"{first_letters(public)}` first."
            )
        with self._file_errors():
            make_private_folder(self._lists)
            self._add(role, public, name or named)
        return self.allowed().caller(public)

    def _given(self, path: Path) -> tuple[bytes, str]:
        try:
            read = self._read_public(path)
        except FileNotFoundError as error:
            raise UsageError(
                f'"{path}" is neither a key of 64 hexadecimal digits nor a file. `zdqn keys '
                f"show` prints public keys; ROLE.public in a folder of keys holds one."
            ) from error
        if read is None:
            raise UsageError(f"{path} holds no public key, as ROLE.public of a folder does.")
        return read

    def revoke(self, which: str) -> list[Caller]:
        """Let a key in no more.

        Args:
            which: its name, the key, or the first of its digits.

        Returns:
            Whose it was; several keys may have one name.

        Raises:
            UsageError: when no list has it, or digits fit several.
            FileError: when a list cannot be written.
        """
        callers = self.allowed().callers.values()
        gone = [caller for caller in callers if caller.name == which]
        if not gone and len(which) >= _LEAST_LETTERS:
            gone = [caller for caller in callers if caller.public.hex().startswith(which.lower())]
            if len(gone) > 1:
                raise UsageError(f'"{which}" begins {len(gone)} keys. Give more of its digits.')
        if not gone:
            raise UsageError(
                f'No allowed key has the name "{which}", or begins so. `zdqn keys show --keys '
                f"{self.path}` lists them."
            )
        with self._file_errors():
            for role in {caller.role for caller in gone if caller.role is not None}:
                self._remove(role, {caller.public for caller in gone})
        return gone

    def _add(self, role: KeyRole, public: bytes, name: str) -> None:
        path = self._list(role)
        text = read_private(path) if path.exists() else _HEAD.format(role=role)
        if text and not text.endswith("\n"):
            text += "\n"
        replace_private(path, text + format_line(public, name))

    def _remove(self, role: KeyRole, publics: set[bytes]) -> None:
        path = self._list(role)
        lines = read_private(path).splitlines(keepends=True)
        kept = [line for line in lines if not _holds(line, publics)]
        replace_private(path, "".join(kept))

    # --- files ----------------------------------------------------------------------------------

    def _secret(self, role: KeyRole) -> Path:
        return self.path / f"{role}.secret"

    def _public(self, role: KeyRole) -> Path:
        return self.path / f"{role}.public"

    def _list(self, role: KeyRole) -> Path:
        return self._lists / role

    def _check_folder(self) -> None:
        try:
            check_private_folder(self.path)
        except FileNotFoundError as error:
            raise NotAllowedError(
                f"There is no folder of keys {self.path}. `zdqn keys init --keys {self.path}` "
                f"makes it; or copy one from where keys were made."
            ) from error

    @contextmanager
    def _file_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _file_error(error, self.path) from error


def _file_error(error: OSError, path: Path) -> FileError:
    return FileError(f"{error.filename or path}: {error.strerror or error}.")


_HEAD = """\
# Keys of every {role} that is let in: 64 hexadecimal digits and a name on each line.
# `zdqn keys allow` and `zdqn keys revoke` change this file; servers read it again when it changes.
"""


def _holds(line: str, publics: set[bytes]) -> bool:
    read = None if is_comment(line) else parse_line(line)
    return read is not None and read[0] in publics
