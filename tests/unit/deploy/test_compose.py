from mtls_ambassador.envoy.place import Machine
from mtls_ambassador.envoy.render import device_connections
from mtls_ambassador.settings.values import Limits
from unit.deploy.dockerfile import DEPLOY, DOCKERFILE, ROOT
from unit.deploy.manifests import compose, compose_environ, default, needed_to_end, one, seconds

SERVICE = compose()
FILE = DEPLOY / "docker" / "compose.yaml"


def test_port_443_goes_to_the_tls_listener() -> None:
    assert SERVICE["ports"] == [f"443{default('listen')}"]


def test_mounts_are_where_the_settings_look() -> None:
    mounts = {item["target"]: item for item in SERVICE["volumes"]}
    secrets = {item["source"]: item.get("target", f"/run/secrets/{item['source']}") for item in SERVICE["secrets"]}
    assert mounts.keys() == {default("server_certificate"), default("tenant_ca"), default("state_dir")}
    assert secrets["server-key"] == default("server_key")
    assert secrets["mender-pass"] == compose_environ()["MTLS_MENDER_PASS_FILE"]
    assert mounts[default("state_dir")]["source"] in one(FILE)["volumes"]
    assert secrets.keys() == one(FILE)["secrets"].keys()


def test_a_missing_file_is_an_error_and_not_a_new_folder() -> None:
    for mount in SERVICE["volumes"]:
        if mount["type"] == "bind":
            assert mount["read_only"]
            assert mount["bind"] == {"create_host_path": False}


def test_the_files_have_the_names_of_menders_page() -> None:
    mounted = [item["source"] for item in SERVICE["volumes"] if item["type"] == "bind"]
    secret = [item["file"] for item in one(FILE)["secrets"].values()]
    assert {"./server-cert.pem", "./ca-cert.pem", "./server-private.key"} <= {*mounted, *secret}


def test_it_may_do_nothing_it_does_not_need() -> None:
    assert SERVICE["read_only"] is True
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    assert "cap_add" not in SERVICE
    assert "privileged" not in SERVICE
    assert [mount.partition(":")[0] for mount in SERVICE["tmpfs"]] == ["/tmp"]  # noqa: S108 - the container's own


def test_it_is_built_from_this_repository() -> None:
    context = (FILE.parent / SERVICE["build"]["context"]).resolve()
    assert context == ROOT
    assert context / SERVICE["build"]["dockerfile"] == DOCKERFILE


def test_there_is_time_to_drain_and_room_for_all_connections() -> None:
    assert seconds(SERVICE["stop_grace_period"]) > needed_to_end(compose_environ())
    limit = SERVICE["ulimits"]["nofile"]
    assert device_connections(Limits(), Machine(file_limit=limit)) == Limits().max_connections
