import pytest

from mtls_ambassador.sandbox.tokens import TokenSigner
from mtls_ambassador.sandbox.useradm import UserAdm, UserError


@pytest.fixture
def users() -> UserAdm:
    return UserAdm("Me@Example.com", "pässword", signer=TokenSigner(), clock=lambda: 1000.0)


def status_of(users: UserAdm, token: str) -> int:
    try:
        users.check(token)
    except UserError as error:
        return error.status
    return 200


def test_the_email_is_compared_in_lower_case(users: UserAdm) -> None:
    assert status_of(users, users.login("ME@example.COM", "pässword")) == 200


@pytest.mark.parametrize(("user", "password"), [("me@example.com", "x"), ("x", "pässword"), ("", "")])
def test_a_wrong_login_is_refused(users: UserAdm, user: str, password: str) -> None:
    with pytest.raises(UserError, match=r"^unauthorized$"):
        users.login(user, password)


def test_the_eleventh_login_evicts_the_first(users: UserAdm) -> None:
    tokens = [users.login("me@example.com", "pässword") for _ in range(12)]
    assert [status_of(users, token) for token in tokens] == [401, 401] + [200] * 10


def test_personal_access_tokens_are_not_counted_and_survive_the_end_of_all_logins(users: UserAdm) -> None:
    pat = users.create_token("gateway", 0)
    tokens = [users.login("me@example.com", "pässword") for _ in range(10)]
    assert users.expire_logins() == 10
    assert [status_of(users, token) for token in tokens] == [401] * 10
    assert status_of(users, pat) == 200


def test_ten_tokens_are_enough(users: UserAdm) -> None:
    for number in range(10):
        users.create_token(str(number), 60)
    with pytest.raises(UserError, match="maximum number") as refused:
        users.create_token("more", 60)
    assert refused.value.status == 422


def test_a_name_is_taken_once(users: UserAdm) -> None:
    users.create_token("a", 60)
    with pytest.raises(UserError, match="already exists") as refused:
        users.create_token("a", 60)
    assert refused.value.status == 409


@pytest.mark.parametrize("seconds", [-1, 31_536_001])
def test_a_lifetime_has_bounds(users: UserAdm, seconds: int) -> None:
    with pytest.raises(UserError) as refused:
        users.create_token("a", seconds)
    assert refused.value.status == 400


def test_logout_ends_one_session(users: UserAdm) -> None:
    one, two = (users.login("me@example.com", "pässword") for _ in range(2))
    users.logout(users.check(one))
    assert [status_of(users, token) for token in (one, two)] == [401, 200]


def test_a_login_expires_unless_told_otherwise() -> None:
    now = [1000.0]
    users = UserAdm("me", "p", signer=TokenSigner(), clock=lambda: now[0], lifetime=10)
    short, forever = users.login("me", "p"), users.login("me", "p", no_expiry=True)
    now[0] = 1010.0
    assert [status_of(users, token) for token in (short, forever)] == [401, 200]


def test_a_device_token_is_no_login() -> None:
    signer = TokenSigner()
    users = UserAdm("me", "p", signer=signer, clock=lambda: 0.0)
    with pytest.raises(UserError, match="invalid jwt"):
        users.check(signer.sign({"jti": "a", "mender.device": True}))
