"""`pkcs11:` URIs name a token, a key and a module, and never hold a PIN."""

from pathlib import Path

import pytest

from mtls_ambassador.model.errors import AmbassadorError, UsageError
from mtls_ambassador.pki.token_uri import parse_token_uri, pin_from_source, with_module


def test_every_part_is_read() -> None:
    uri = parse_token_uri("pkcs11:token=My%20token;object=ca;id=%01%ff;type=private?module-path=/m.so&pin-source=/p")
    assert (uri.token, uri.object, uri.id, uri.module, uri.pin_source) == ("My token", "ca", b"\x01\xff", "/m.so", "/p")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://x",
        "pkcs11:",
        "pkcs11:token=t;object=o",
        "pkcs11:token=t?module-path=/m",
        "pkcs11:object=o?module-path=/m",
        "pkcs11:token=t;token=u;object=o?module-path=/m",
        "pkcs11:token=t;object=o;colour=red?module-path=/m",
        "pkcs11:token?module-path=/m",
    ],
)
def test_what_names_no_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_token_uri(text)


def test_a_pin_inside_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError, match="must not hold a PIN") as error:
        parse_token_uri("pkcs11:token=t;object=o?pin-value=12345&module-path=/m")
    assert "12345" not in str(error.value)


def test_the_module_is_added_once() -> None:
    assert with_module("pkcs11:token=t;object=o", "/a b.so").endswith("o?module-path=/a%20b.so")
    assert with_module("pkcs11:token=t;object=o?pin-source=/p", "/m").endswith("&module-path=/m")
    assert with_module("pkcs11:x?module-path=/a", "/b") == "pkcs11:x?module-path=/a"


def test_the_pin_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "pin"
    base = "pkcs11:token=t;object=o?module-path=/m"
    assert pin_from_source(parse_token_uri(base)) is None
    with pytest.raises(AmbassadorError, match="cannot be read"):
        pin_from_source(parse_token_uri(f"{base}&pin-source=file:{path}"))
    path.write_text("1234\n")
    for source in (f"file:{path}", f"file://{path}", str(path)):
        assert pin_from_source(parse_token_uri(f"{base}&pin-source={source}")) == "1234"
