"""The users file and its hashes: what is wrong is named by its line, and no hash is repeated."""

import pytest

from mtls_ambassador.model.errors import FaultsError
from mtls_ambassador.model.operator import Scope
from mtls_ambassador.web.access.users import User, hash_password, is_password, parse_users

HASH = hash_password("secret")


def test_a_hash_is_slow_and_never_the_same_twice() -> None:
    assert HASH.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert hash_password("secret") != HASH
    assert "secret" not in repr(User("marta", Scope.READ, HASH))
    assert HASH not in repr(User("marta", Scope.READ, HASH))


def test_only_the_password_is_the_password() -> None:
    user = User("marta", Scope.READ, HASH)
    assert is_password(user, "secret")
    for other in ("", "Secret", "secret ", "x" * 100_000):
        assert not is_password(user, other)
    assert not is_password(None, "secret")
    assert not is_password(User("marta", Scope.READ, ""), "")


def test_a_long_password_is_not_cut_to_a_right_one() -> None:
    assert not is_password(User("m", Scope.READ, hash_password("x" * 1024)), "x" * 1025)


def test_lines_comments_and_users_of_a_proxy() -> None:
    found = parse_users(f"# who\n\nmarta:write:{HASH}\n olaf@example.com : read : \n")
    assert [(item.name, item.scope, bool(item.hash)) for item in found.values()] == [
        ("marta", Scope.WRITE, True),
        ("olaf@example.com", Scope.READ, False),
    ]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("marta", "line 2: must be name:scope:hash"),
        (f"ma rta:read:{HASH}", "line 2: the name must be"),
        (f"{'m' * 65}:read:{HASH}", "line 2: the name must be"),
        (f"marta:admin:{HASH}", "line 2: the scope must be read or write"),
        ("marta:read:password", "line 2: the hash must be empty"),
        ("marta:read:$2b$12$abcdefghijklmnopqrstuv", "line 2: the hash must be empty"),
        (f"marta:read:{HASH.replace('m=19456', 'm=9999999')}", "line 2: the hash must be empty"),
        (f"marta:read:{HASH.replace('t=2', 't=0')}", "line 2: the hash must be empty"),
        (f"marta:read:{HASH}\nmarta:read:", "line 3: marta is there twice"),
    ],
)
def test_a_fault_is_named_without_the_hash(line: str, said: str) -> None:
    with pytest.raises(FaultsError) as caught:
        parse_users(f"\n{line}\n")
    assert said in str(caught.value)
    assert HASH not in str(caught.value)
    assert "password" not in str(caught.value).replace("admin password", "")


def test_a_file_that_names_nobody_is_a_fault() -> None:
    with pytest.raises(FaultsError, match="names nobody"):
        parse_users("# nobody\n")
