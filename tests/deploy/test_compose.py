"""The compose files and the Kubernetes objects: valid by their schemas, locked down, and naming only what exists."""

import re
from typing import Any

import pytest
import yaml

from nearfield.cli.main import build, check_environment
from nearfield.serve.routes import ALL
from nearfield.serve.server import GRACE
from tests.deploy.engine import DOCKER, ROOT, Image, check, project

ALONE, CARDS = "docker/compose.yaml", "docker/compose.yaml:docker/compose.gpu.yaml"
either = pytest.mark.parametrize("files", [ALONE, CARDS], ids=["alone", "cards"])
OBJECTS = list(yaml.safe_load_all((ROOT / "kubernetes/nearfield.yaml").read_text("utf-8")))


@either
def test_it_is_what_compose_specifies(files: str) -> None:
    models = pytest.importorskip("compose_spec")
    said = {key: value for key, value in project(files).items() if not key.startswith("x-")}
    models.ComposeSpecification.model_validate(said, extra="forbid")


@either
def test_services_are_locked_down(files: str) -> None:
    for name, service in project(files)["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert any(mount.startswith("/tmp") for mount in service["tmpfs"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert service["image"].startswith("nearfield:") or re.search(r":v?\d+\.\d+\.\d+$", service["image"])


@either
def test_what_is_mounted_is_there(files: str) -> None:
    said = project(files)
    for service in said["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DOCKER / source).exists() if source.startswith(".") else source in said["volumes"]
        if "build" in service:
            assert (DOCKER / service["build"]["context"]).resolve() == ROOT
            made = check().Dockerfile.read(ROOT / service["build"]["dockerfile"])
            mounted = {volume.split(":")[1] for volume in service["volumes"]}
            if "target" in service["build"]:
                assert any(rest.endswith(f" AS {service['build']['target']}") for rest in made.all("FROM"))
            else:
                assert set(re.findall(r"/(?:data|cache)\b", " ".join(made.all("VOLUME")))) == mounted


@either
def test_every_service_has_a_check_and_waits_for_one_that_has(files: str) -> None:
    services = project(files)["services"]
    checked = {name for name, service in services.items() if "healthcheck" in service or "build" in service}
    assert checked == services.keys()
    for service in services.values():
        for other, how in service.get("depends_on", {}).items():
            assert other in services
            assert how["condition"] in ("service_healthy", "service_started")


@either
def test_variables_mean_something(files: str) -> None:
    service = project(files)["services"]["nearfield"]
    check_environment(build(), dict.fromkeys(service["environment"], "1"))
    asked = {v for s in project(files)["services"].values() for v in re.findall(r"\$\{(\w+):\?", str(s))}
    guide = (ROOT / "docs/DEPLOY.md").read_text("utf-8")
    assert asked == set(re.findall(r'echo "(\w+)=\$\(openssl', guide)) - {"JUPYTER_TOKEN"}


def test_cards_are_reserved_and_the_processors_image_is_replaced() -> None:
    service = project(CARDS)["services"]["nearfield"]
    assert service["image"] == "nearfield:gpu"
    assert service["build"]["dockerfile"] == "docker/Dockerfile.gpu"
    assert service["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    assert project(ALONE)["services"]["nearfield"]["build"]["dockerfile"] == "docker/Dockerfile"


def test_it_stops_later_than_the_server_does() -> None:
    assert int(project(ALONE)["services"]["nearfield"]["stop_grace_period"].removesuffix("s")) > GRACE
    assert stateful()["terminationGracePeriodSeconds"] > GRACE


def test_prometheus_finds_what_is_mounted() -> None:
    settings = yaml.safe_load((DOCKER / "prometheus.yml").read_text("utf-8"))
    mounted = {v.split(":")[1] for v in project(ALONE)["services"]["prometheus"]["volumes"]}
    assert set(settings["rule_files"]) <= mounted
    assert settings["scrape_configs"][0]["static_configs"][0]["targets"] == ["nearfield:8000"]
    board = yaml.safe_load((DOCKER / "grafana/provider.yml").read_text("utf-8"))["providers"][0]["options"]["path"]
    assert any(v.split(":")[1].startswith(board) for v in project(ALONE)["services"]["grafana"]["volumes"])


def stateful() -> dict[str, Any]:
    (found,) = [o for o in OBJECTS if o["kind"] == "StatefulSet"]
    assert found["spec"]["replicas"] == 1, "one process writes to a directory"
    return found["spec"]["template"]["spec"]


@pytest.mark.parametrize("object", OBJECTS, ids=lambda o: o["kind"])
def test_objects_are_what_kubernetes_specifies(object: dict[str, Any]) -> None:
    pytest.importorskip("kubernetes_validate").validate(object, "1.30", strict=True)


def test_the_pod_is_locked_down_and_can_write_where_the_image_does() -> None:
    pod = stateful()
    (container,) = pod["containers"]
    file = check().Dockerfile.read(DOCKER / "Dockerfile.gpu")
    assert file.all("USER")[-1] == f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}"
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {"/tmp", *re.findall(r"/(?:data|cache)\b", " ".join(file.all("VOLUME")))} <= mounted
    keys = next(e["value"] for e in container["env"] if e["name"] == "NEARFIELD_SERVE_KEY_FILE")
    assert keys.rsplit("/", 1)[0] in mounted


def test_the_pod_s_variables_and_probes_mean_something() -> None:
    pod = stateful()
    (container,) = pod["containers"]
    image = Image.read(DOCKER / "Dockerfile.gpu")
    check_environment(build(), {**image.environment, **{e["name"]: e["value"] for e in container["env"]}})
    assert pod["enableServiceLinks"] is False, "else Kubernetes adds NEARFIELD_PORT, which is an error here"
    paths = {route.path for route in ALL if route.right == "open"}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] in paths
        assert container[probe]["httpGet"]["port"] == container["ports"][0]["name"]
    assert str(container["ports"][0]["containerPort"]) == image.environment["NEARFIELD_SERVE_PORT"]
