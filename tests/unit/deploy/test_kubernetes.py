import tomllib
from pathlib import Path
from typing import Any

import pytest

from mtls_ambassador import __version__
from mtls_ambassador.web import admin
from support.admin import admin_context
from unit.deploy.dockerfile import ROOT
from unit.deploy.manifests import (
    KUBERNETES,
    VARIANTS,
    default,
    gateway,
    kubernetes_environ,
    needed_to_end,
    one,
    read,
    value,
)

BASE = KUBERNETES / "base"
DEPLOYMENT = one(BASE / "deployment.yaml")
POD = DEPLOYMENT["spec"]["template"]["spec"]
GATEWAY = gateway(DEPLOYMENT)
PORTS = {port["name"]: port["containerPort"] for port in GATEWAY["ports"]}
LABELS = DEPLOYMENT["spec"]["template"]["metadata"]["labels"]
NOBODY = 65534


def volumes(variant: str) -> dict[str, Any]:
    patch = one(KUBERNETES / variant / "deployment.yaml")["spec"]["template"]["spec"]
    return {volume["name"]: volume for volume in [*POD["volumes"], *patch["volumes"]]}


async def admin_paths(folder: Path) -> set[str]:
    async with admin_context(folder) as context:
        return {resource.canonical for resource in admin.make_app(context).router.resources()}


def test_443_of_the_service_is_the_tls_listener() -> None:
    (port,) = one(BASE / "service.yaml")["spec"]["ports"]
    assert port["port"] == 443
    assert PORTS[port["targetPort"]] == value(kubernetes_environ("sqlite"), "listen").port == 8080


def test_the_service_does_not_publish_the_admin_listener() -> None:
    assert [port["targetPort"] for port in one(BASE / "service.yaml")["spec"]["ports"]] == ["devices-tls"]


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
async def test_probes_ask_paths_the_admin_listener_has(probe: str, tmp_path: Path) -> None:
    call = GATEWAY[probe]["httpGet"]
    listen = value(kubernetes_environ("sqlite"), "admin_listen")
    assert call["path"] in await admin_paths(tmp_path)
    assert PORTS[call["port"]] == listen.port
    assert listen.host == "", "the kubelet calls the pod's address"


@pytest.mark.parametrize("variant", VARIANTS)
def test_mounts_are_where_the_settings_look(variant: str) -> None:
    paths = {mount["name"]: mount["mountPath"] for mount in GATEWAY["volumeMounts"]}
    assert paths.keys() == volumes(variant).keys()
    server = {paths["server"] + "/" + item["path"] for item in volumes(variant)["server"]["secret"]["items"]}
    assert server == {default("server_certificate"), default("server_key")}
    assert paths["state"] == default("state_dir")
    assert paths["tmp"] == "/tmp"  # noqa: S108 - the pod's own


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_mounted_is_in_the_example(variant: str) -> None:
    example = {item["metadata"]["name"]: item for item in read(KUBERNETES / "secrets.example.yaml")}
    paths = {mount["name"]: mount["mountPath"] for mount in GATEWAY["volumeMounts"]}
    used = volumes(variant)
    server = example[used["server"]["secret"]["secretName"]]
    assert {item["key"] for item in used["server"]["secret"]["items"]} <= server["stringData"].keys()
    authority = example[used["tenant-ca"]["configMap"]["name"]]["data"]
    assert {f"{paths['tenant-ca']}/{key}" for key in authority} == {default("tenant_ca")}
    keys = {f"{paths['secrets']}/{key}" for key in example[used["secrets"]["secret"]["secretName"]]["stringData"]}
    assert {text for name, text in kubernetes_environ(variant).items() if name.endswith("_FILE")} <= keys


def test_secret_example_holds_placeholders_only() -> None:
    for item in read(KUBERNETES / "secrets.example.yaml"):
        for text in (item.get("stringData") or item["data"]).values():
            assert text.startswith("<")
            assert text.endswith(">")


def test_secret_files_are_not_for_everybody() -> None:
    secrets = [volume["secret"] for volume in POD["volumes"] if "secret" in volume]
    assert {secret["defaultMode"] for secret in secrets} == {0o440}
    assert POD["securityContext"]["fsGroup"] == NOBODY


def test_pod_meets_the_restricted_standard() -> None:
    pod, container = POD["securityContext"], GATEWAY["securityContext"]
    assert (pod["runAsNonRoot"], pod["runAsUser"], pod["runAsGroup"]) == (True, NOBODY, NOBODY)
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["allowPrivilegeEscalation"] is False
    assert container["readOnlyRootFilesystem"] is True
    assert container["capabilities"] == {"drop": ["ALL"]}
    assert POD["automountServiceAccountToken"] is False


@pytest.mark.parametrize("variant", VARIANTS)
def test_there_is_time_to_drain(variant: str) -> None:
    program, pause = GATEWAY["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    assert POD["terminationGracePeriodSeconds"] > int(pause) + needed_to_end(kubernetes_environ(variant))


def test_memory_is_enough_for_the_connections_allowed() -> None:
    per_connection, idle = 30_000, 200 * 2**20
    limit = {"1Gi": 2**30}[GATEWAY["resources"]["limits"]["memory"]]
    assert value(kubernetes_environ("sqlite"), "limits.max_connections") * per_connection + idle < limit


def test_sqlite_is_one_pods() -> None:
    spec = one(KUBERNETES / "sqlite" / "deployment.yaml")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert "MTLS_DATABASE_URL_FILE" not in kubernetes_environ("sqlite")
    claim = volumes("sqlite")["state"]["persistentVolumeClaim"]["claimName"]
    assert claim == one(KUBERNETES / "sqlite" / "volume.yaml")["metadata"]["name"]


def test_several_pods_share_postgresql_and_are_not_all_taken_at_once() -> None:
    spec = one(KUBERNETES / "postgresql" / "deployment.yaml")["spec"]
    assert spec["replicas"] > 1
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "MTLS_DATABASE_URL_FILE" in kubernetes_environ("postgresql")
    budget = one(KUBERNETES / "postgresql" / "poddisruptionbudget.yaml")["spec"]
    assert budget["maxUnavailable"] < spec["replicas"]
    assert budget["selector"]["matchLabels"] == LABELS


def test_network_policy_lets_everybody_to_the_devices_port_and_few_to_the_admin_one() -> None:
    spec = one(BASE / "networkpolicy.yaml")["spec"]
    assert spec["podSelector"]["matchLabels"] == LABELS
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    devices, operators = spec["ingress"]
    assert devices == {"ports": [{"port": "devices-tls"}]}
    assert [port["port"] for port in operators["ports"]] == ["admin"]
    assert operators["from"]


def test_selectors_meet_the_pods() -> None:
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"] == LABELS
    assert one(BASE / "service.yaml")["spec"]["selector"] == LABELS


@pytest.mark.parametrize("folder", ["base", *VARIANTS])
def test_kustomizations_name_files_that_exist(folder: str) -> None:
    build = one(KUBERNETES / folder / "kustomization.yaml")
    patches = [patch["path"] for patch in build.get("patches", []) if "path" in patch]
    sources = [file for item in build.get("configMapGenerator", []) for file in item["envs"]]
    for name in (*build["resources"], *patches, *sources):
        assert (KUBERNETES / folder / name).exists(), name


def test_image_is_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert one(BASE / "kustomization.yaml")["images"] == [{"name": project["name"], "newTag": __version__}]
    assert GATEWAY["image"] == project["name"]
    (settings,) = one(BASE / "kustomization.yaml")["configMapGenerator"]
    assert GATEWAY["envFrom"] == [{"configMapRef": {"name": settings["name"]}}]
