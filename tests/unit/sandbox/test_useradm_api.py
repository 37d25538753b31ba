import pytest

from support.sandbox_caller import LOGIN, Caller

ME = "/api/management/v1/useradm/users/me"
TOKENS = "/api/management/v1/useradm/settings/tokens"


async def test_a_login_is_a_bare_token_that_opens_the_management_side(caller: Caller) -> None:
    answer = await caller.login("MTLS@Example.com")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/jwt")
    me = await caller.call("GET", ME, headers={"Authorization": f"bEARER {answer.text}"})
    assert me.json["email"] == "mtls@example.com"
    assert (await caller.call("GET", ME, headers={"Cookie": f"JWT={answer.text}"})).status == 200


@pytest.mark.parametrize("header", ["", "Basic", "Basic !", "Bearer x", "Basic YQ=="])
async def test_no_credentials(caller: Caller, header: str) -> None:
    answer = await caller.call("POST", LOGIN, headers={"Authorization": header} if header else {})
    assert (answer.status, answer.error) == (401, "invalid or missing auth header")


async def test_wrong_credentials(caller: Caller) -> None:
    answer = await caller.login(password="wrong")
    assert (answer.status, answer.error) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("body", "status"), [("{}", 200), ('{"no_expiry":true}', 200), ("{", 400), ('{"no_expiry":1}', 400)]
)
async def test_the_body_is_optional_but_must_be_right(caller: Caller, body: str, status: int) -> None:
    assert (await caller.login(data=body, headers={"Content-Type": "application/json"})).status == status


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("", "authorization not present in header"),
        ("Bearer", "malformed Authorization header"),
        ("Basic abc", "malformed Authorization header"),
        ("Bearer abc", "invalid jwt"),
    ],
)
async def test_each_way_of_not_being_logged_in_has_its_text(caller: Caller, header: str, text: str) -> None:
    answer = await caller.call("GET", ME, headers={"Authorization": header} if header else {})
    assert (answer.status, answer.error) == (401, text)


async def test_a_revoked_login_is_unauthorized(caller: Caller) -> None:
    assert (await caller.manage("POST", "/api/management/v1/useradm/auth/logout")).status == 202
    answer = await caller.manage("GET", ME)
    assert (answer.status, answer.error) == (401, "unauthorized")


async def test_a_personal_access_token_is_made_listed_used_and_deleted(caller: Caller) -> None:
    made = await caller.manage("POST", TOKENS, json={"name": "gateway", "expires_in": 3600})
    assert made.status == 200
    assert (await caller.call("GET", ME, headers={"Authorization": f"Bearer {made.text}"})).status == 200
    (listed,) = (await caller.manage("GET", TOKENS)).json
    assert (listed["name"], set(listed)) == ("gateway", {"id", "name", "created_ts", "expiration_date", "last_used"})
    assert (await caller.manage("POST", TOKENS, json={"name": "gateway"})).status == 409
    assert (await caller.manage("DELETE", f"{TOKENS}/{listed['id']}")).status == 204
    assert (await caller.call("GET", ME, headers={"Authorization": f"Bearer {made.text}"})).status == 401


@pytest.mark.parametrize("body", ["[]", '{"name":1}', '{"name":"a","expires_in":"1"}', '{"expires_in":1}', "x"])
async def test_malformed_token_requests(caller: Caller, body: str) -> None:
    token = (await caller.login()).text
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    assert (await caller.call("POST", TOKENS, data=body, headers=headers)).status == 400
