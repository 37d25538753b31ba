"""The file of those who may use page and API: `name:scope:hash` a line, the hash by Argon2id (RFC 9106)."""

import hmac
import os
import re
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.model.operator import Scope

MEMORY_KIB, PASSES, LANES, LENGTH, SALT = 19_456, 2, 1, 32, 16
"""OWASP's password storage cheat sheet: 19 MiB, two passes, one lane."""
LONGEST = 1024
"""Characters of a password; more would only be work for whoever asks for it."""
_PHC = re.compile(r"\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$[A-Za-z0-9+/]{11,88}\$[A-Za-z0-9+/]{22,88}")
_MOST_MEMORY, _MOST_PASSES, _MOST_LANES = 1_048_576, 16, 8
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")


@dataclass(frozen=True, slots=True)
class User:
    """One line."""

    name: str
    scope: Scope
    hash: str = field(repr=False)
    """Empty for one whom only a proxy logs in."""

    @property
    def proof(self) -> str:
        """Changes with the line."""
        return f"{self.scope.value}:{self.hash}"


def hash_password(password: str) -> str:
    """As a line of the file has it, with a salt of its own."""
    made = Argon2id(salt=os.urandom(SALT), length=LENGTH, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB)
    return made.derive_phc_encoded(password.encode())


NOBODY = hash_password(os.urandom(16).hex())
"""What a password is held against where there is no such user, so that the time does not tell."""


def is_password(user: User | None, password: str) -> bool:
    """Whether it is this user's; as much work when there is no such user, or one without password. Fails closed."""
    stored = user.hash if user is not None and user.hash else NOBODY
    try:
        Argon2id.verify_phc_encoded(password[:LONGEST].encode(errors="replace"), stored)
    except InvalidKey:
        return False
    return user is not None and bool(user.hash) and len(password) <= LONGEST


def parse_users(text: str) -> dict[str, User]:
    """The users of a file, by name. Raises FaultsError with every line at fault; none repeats a hash."""
    found: dict[str, User] = {}
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        user = _parse(line.strip())
        if isinstance(user, str):
            faults.append(f"line {number}: {user}")
        elif user.name in found:
            faults.append(f"line {number}: {user.name} is there twice")
        else:
            found[user.name] = user
    if not found and not faults:
        faults.append("names nobody; add a line made by `mtls-ambassador admin password NAME`")
    if faults:
        raise FaultsError(faults)
    return found


def _parse(line: str) -> User | str:
    parts = line.split(":", 2)
    if len(parts) != 3:  # noqa: PLR2004 - name, scope, hash
        return "must be name:scope:hash, as `mtls-ambassador admin password NAME` prints it"
    name, scope, stored = (part.strip() for part in parts)
    if not NAME.fullmatch(name):
        return "the name must be of letters, digits and . _ @ + -, at most 64"
    if scope not in list(Scope):
        return "the scope must be read or write"
    if stored and not _is_sound(stored):
        return "the hash must be empty, or an Argon2id one as `mtls-ambassador admin password NAME` prints it"
    return User(name, Scope(scope), stored)


def _is_sound(stored: str) -> bool:
    """Whether it can be checked without taking the machine's memory."""
    found = _PHC.fullmatch(stored)
    if found is None:
        return False
    memory, passes, lanes = map(int, found.groups())
    return 8 * lanes <= memory <= _MOST_MEMORY and 1 <= passes <= _MOST_PASSES and 1 <= lanes <= _MOST_LANES


def is_same(one: str, other: str) -> bool:
    """Whether two secrets are one, in a time that does not tell where they differ."""
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))
