"""The account a test server runs under, as PostgreSQL refuses root; changes no account, and no folder but its own."""

import os
import pwd
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict


class Identity(TypedDict, total=False):
    """The arguments of subprocess that make a child another user; empty to stay who we are."""

    user: int
    group: int
    extra_groups: list[int]


@dataclass(frozen=True, kw_only=True)
class Account:
    """Who the server runs as; `other` is None when that is who we are."""

    other: pwd.struct_passwd | None

    @property
    def identity(self) -> Identity:
        """The arguments for subprocess.run and Popen."""
        if self.other is None:
            return {}
        return {"user": self.other.pw_uid, "group": self.other.pw_gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Hand a file or a folder, with all in it, to the account."""
        if self.other is None:
            return
        for one in [path, *path.rglob("*")]:
            os.chown(one, self.other.pw_uid, self.other.pw_gid, follow_symlinks=False)

    def can_use(self, *paths: Path) -> bool:
        """Tell whether the account reaches and reads all of these; a folder above one of them may be closed to it."""
        script = 'for path in "$@"; do test -r "$path" || exit 1; done'
        asked = subprocess.run(["/bin/sh", "-c", script, "sh", *map(str, paths)], cwd="/", check=False, **self.identity)
        return asked.returncode == 0

    def temporary_folder(self) -> Path:
        """Make a folder that belongs to the account and that it can reach.

        Raises:
            RuntimeError: The account reaches none of the system's temporary folders.
        """
        parents = dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"])
        for parent in parents:
            if not os.access(parent, os.W_OK):
                continue
            folder = Path(tempfile.mkdtemp(prefix="sagalog-postgres-", dir=parent)).resolve()
            self.own(folder)
            if self.can_use(folder):
                return folder
            folder.rmdir()
        message = f"no temporary folder is open to the account that runs PostgreSQL: tried {', '.join(parents)}"
        raise RuntimeError(message)


def account_for_server() -> Account:
    """Return who the server is to run as: ourselves, or an existing unprivileged account when we are root.

    Raises:
        RuntimeError: We are root, and the system has no other account.
    """
    if os.geteuid() != 0:
        return Account(other=None)
    known = {entry.pw_name: entry for entry in pwd.getpwall() if entry.pw_uid != 0}
    for name in ["nobody", "postgres", "daemon", *known]:
        if name in known:
            return Account(other=known[name])
    message = (
        "PostgreSQL refuses to run as root, and this system has no other account: add one, or set SAGALOG_TEST_POSTGRES"
    )
    raise RuntimeError(message)
