import pytest

from mtls_ambassador.sandbox.links import sign_path
from support.sandbox_caller import Caller

PATH = "/api/devices/v1/deployments/download/artifact/nix"


@pytest.mark.parametrize(("expires", "status"), [(9_999_999_999, 404), (1, 403)])
async def test_a_link_is_good_until_it_expires(caller: Caller, expires: int, status: int) -> None:
    assert (await caller.call("GET", sign_path(caller.sandbox.state.secret, PATH, expires))).status == status


async def test_the_link_of_another_server_is_refused(caller: Caller) -> None:
    assert (await caller.call("GET", sign_path(b"other", PATH, 9_999_999_999))).status == 403


@pytest.mark.parametrize("query", ["x-men-expire=1", "x-men-signature=a", "x-men-expire=x&x-men-signature=a"])
async def test_half_a_proof_is_400(caller: Caller, query: str) -> None:
    assert (await caller.call("GET", f"{PATH}?{query}")).status == 400


async def test_a_strange_signature_is_refused(caller: Caller) -> None:
    assert (await caller.call("GET", f"{PATH}?x-men-expire=9999999999&x-men-signature=%C3%BC")).status == 403
