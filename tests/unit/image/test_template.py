"""Templates: what goes where, told in TOML, with every fault at its place."""

import pytest

from mtls_ambassador.image.entry import Attributes, Entry, Kind
from mtls_ambassador.image.layout import Roles
from mtls_ambassador.image.template import DEFAULT, Facts, Rule, Source, check_order
from mtls_ambassador.image.template_file import parse_template
from mtls_ambassador.model.errors import AmbassadorError, FaultsError

PAIR = """
[[file]]
path = "/data/id/key.pem"
content = "key"
mode = "400"
uid = 7
[[file]]
path = "/data/id/cert.pem"
content = "certificate"
"""
DEVICE = Facts("dev-1", "0A", b"KEY", b"CERT", "pi4", (("mac", "52:54"), ("sn", "7")))


def read(name: str) -> bytes:
    return f"content of {name}".encode()


def test_all_there_is_to_say() -> None:
    template = parse_template(
        PAIR
        + """
[[file]]
path = "/data/id/label"
text = "{name} {serial} {device_type} {identity.mac} {{x}}\\n"
mode = "0o644"
[[file]]
path = "/etc/ca.pem"
content = "server-ca"
[[file]]
path = "/usr/share/mender/identity/mender-device-identity"
file = "identity.sh"
mode = "0755"
gid = 4294967294
[partitions]
boot = 1
rootfs = [2, 3]
data = 6
""",
        "t.toml",
        read,
    )
    key, certificate, label, ca, script = template.rules
    assert (key.path, key.source, key.mode, key.uid, key.gid) == (("data", "id", "key.pem"), Source.KEY, 0o400, 7, None)
    assert (certificate.mode, certificate.source) == (None, Source.CERTIFICATE)
    assert label.content(DEVICE) == b"dev-1 0A pi4 52:54 {x}\n"
    assert (script.fixed, script.mode, script.gid) == (b"content of identity.sh", 0o755, 4294967294)
    assert [rule.is_own for rule in template.rules] == [True, True, True, False, False]
    assert template.roles == Roles((2, 3), 1, 6)
    assert template.path_of(Source.SERVER_CA) == "/etc/ca.pem"
    assert template.path_of(Source.CONFIGURATION) is None
    assert ca.source is Source.SERVER_CA


@pytest.mark.parametrize(
    ("rule", "wanted"),
    [
        (Rule(("x",)), (0o4754, 5, 6)),
        (Rule(("x",), gid=0), (0o4754, 5, 0)),
        (Rule(("x",), mode=0o444), (0o444, 0, 0)),
        (Rule(("x",), Source.CERTIFICATE), (0o4754, 5, 6)),
        (Rule(("x",), Source.KEY), (0o600, 5, 6)),
        (Rule(("x",), Source.KEY, mode=0o440, gid=7), (0o440, 0, 7)),
    ],
)
def test_what_a_rule_leaves_open_is_as_in_the_image_and_a_key_is_never_looser_by_that(
    rule: Rule, wanted: tuple[int, int, int]
) -> None:
    before = Entry("x", Kind.FILE, 0o4754, 5, 6, 1, 1)
    assert rule.attributes(before, 9) == Attributes(*wanted, 9)
    mode = 0o600 if rule.mode is None else rule.mode
    for other in (None, Entry("x", Kind.LINK, 0o777, 5, 6, 1, 1, "y")):
        assert rule.attributes(other, 9) == Attributes(mode, 0, rule.gid or 0, 9)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("[[file", "t.toml: not TOML: "),
        ("files = 1\n" + PAIR, "t.toml: 'files' is unknown; right are [partitions] and [[file]]"),
        ("", 't.toml: exactly one file must have content = "key"'),
        (PAIR + PAIR, "exactly one file must have content"),
        (PAIR + '[[file]]\npath = "/data/id/key.pem"\ntext = ""', "/data/id/key.pem is there twice"),
        (PAIR + "[[file]]\nmode = '1'", "file 3: needs `path`, and one of `content`, `text` and `file`"),
        (PAIR + "[[file]]\npath = '/a'\ntext = ''\nfile = 'b'", "file 3: needs `path`, and one of"),
        (
            PAIR + "[[file]]\npath = '/a'\ncontent = 'cert'",
            "file 3: content 'cert' is unknown; right are key, certificate",
        ),
        (PAIR + "[[file]]\npath = '/a/../b'\ntext = ''", "file 3: /a/../b: `..` is not allowed"),
        (PAIR + "[[file]]\npath = '/a'\ntext = '{mac}'", "file 3: a brace that is none of {name}"),
        (PAIR + "[[file]]\npath = '/a'\ntext = ''\nmode = 600", "file 3: `mode` must be a text in quotes"),
        (PAIR + "[[file]]\npath = '/a'\ntext = ''\nmode = '888'", "file 3: `mode` is octal and in quotes"),
        (PAIR + "[[file]]\npath = '/a'\ntext = ''\nuid = -1", "file 3: `uid` must be a number"),
        (PAIR + "[[file]]\npath = '/a'\ntext = ''\nowner = 1", "file 3: 'owner' is unknown; right are content, file"),
        ("file = [1]", "file 1: must be a table"),
        (PAIR + "[partitions]\nboot = 1", "[partitions]: `rootfs` must be a list"),
        (PAIR + "[partitions]\nrootfs = [1, 2, 3]", "[partitions]: `rootfs` must be a list"),
        (PAIR + "[partitions]\nrootfs = [2]\ndata = 'x'", "[partitions]: `boot` and `data` must be numbers"),
        (
            PAIR + "[partitions]\nrootfs = [2]\nswap = 5",
            "[partitions]: 'swap' is unknown; right are boot, rootfs, data",
        ),
    ],
)
def test_every_fault_is_told_with_its_place(content: str, fault: str) -> None:
    with pytest.raises(AmbassadorError) as caught:
        parse_template(content, "t.toml", read)
    assert fault in str(caught.value)


def test_a_file_that_is_not_there_is_a_fault_among_others() -> None:
    def missing(name: str) -> bytes:
        raise AmbassadorError(f"{name}: not there")

    with pytest.raises(FaultsError, match=r"file 3: x\.sh: not there"):
        parse_template(PAIR + "[[file]]\npath = '/a'\nfile = 'x.sh'", "t.toml", missing)


def test_what_the_order_does_not_say_is_told_before_anything_is_made_unless_it_is_optional() -> None:
    template = parse_template(PAIR + "[[file]]\npath = '/a'\ntext = '{identity.imei}'", "t.toml", read)
    with pytest.raises(FaultsError, match=r"dev-1: has no identity\.imei, which /a needs"):
        check_order(template, [DEVICE])
    optional = parse_template(PAIR + "[[file]]\npath = '/a'\ntext = '{identity.imei}'\noptional = true", "t.toml", read)
    check_order(optional, [DEVICE])
    assert optional.rules[2].content(DEVICE) is None


def test_by_default_what_the_order_says_goes_where_menders_client_looks_for_it() -> None:
    own = {rule.path[-1]: rule.content(DEVICE) for rule in DEFAULT.rules if rule.is_own}
    assert own == {
        "mender-cert-private.pem": b"KEY",
        "mender-cert.pem": b"CERT",
        "device_type": b"device_type=pi4\n",
        "identity": b"mac=52:54\nsn=7\n",
    }
    bare = Facts("dev-1", "0A", b"KEY", b"CERT")
    assert [rule.content(bare) for rule in DEFAULT.rules if rule.is_optional] == [None, None]
