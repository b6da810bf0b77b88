"""deploy/helm cannot rot: no cluster runs here, so it is held to the API's schemas and to what is there."""

from __future__ import annotations

import re
from typing import Any

import click
import helm_python as helm
import jsonschema
import kubernetes_validate
import pytest
import yaml

from feature_store.log.topics import least_in_sync
from inference.api.requests.gate import PUBLIC
from inference.api.settings import ApiSettings
from inference.encoders.triton_repository import MODEL_NAME
from ops.cli.main import simpersona
from ops.settings import SETTINGS
from ops.stack.topics import topics
from streams.app import _SPARE_S
from streams.settings import WorkerSettings
from tests.ops.chart.operators import SCHEMAS
from tests.ops.chart.rendering import (
    CHART,
    LEAST,
    MOST,
    Resource,
    containers,
    named,
    pods,
    render,
    settings_of,
)
from tests.ops.configured_servers import PROMETHEUS, ROOT, services

KUBERNETES = "1.37"
LOG_LEVEL = "SIMPERSONA_LOG_LEVEL"
CORE_KINDS = {
    *("CronJob", "Deployment", "HorizontalPodAutoscaler", "Ingress", "Job", "NetworkPolicy"),
    *("PersistentVolumeClaim", "PodDisruptionBudget", "Service", "ServiceAccount"),
}
SERVERS = {"kafka", "valkey", "prometheus", "grafana", "triton-gpu"}
"""Services of compose that the chart has none of: they run elsewhere, or are Triton's with a GPU."""
KNOWN = {LOG_LEVEL}.union(*(settings.variables() for settings in SETTINGS))


@pytest.fixture(scope="module")
def least() -> list[Resource]:
    return render(LEAST)


@pytest.fixture(scope="module")
def most() -> list[Resource]:
    return render(MOST)


@pytest.fixture(scope="module", params=["least", "most"])
def resources(request: pytest.FixtureRequest) -> list[Resource]:
    found: list[Resource] = request.getfixturevalue(request.param)
    return found


def check(resource: Resource) -> None:
    schema = SCHEMAS.get((resource["apiVersion"], resource["kind"]))
    if schema is None:
        kubernetes_validate.validate(resource, KUBERNETES, strict=True)
    else:
        jsonschema.validate(resource["spec"], schema)


@pytest.mark.parametrize("values", [LEAST, MOST], ids=["least", "most"])
def test_helm_finds_no_fault(values: dict[str, Any]) -> None:
    report = helm.lint(str(CHART), values, strict=True)
    assert not report["errors"]
    assert {it["error"] for it in report["messages"]} <= {"icon is recommended"}


def test_every_resource_is_one_of_the_api(resources: list[Resource]) -> None:
    for resource in resources:
        check(resource)
    names = [(it["kind"], it["metadata"]["name"]) for it in resources]
    assert len(set(names)) == len(names)


def test_a_field_that_the_api_does_not_have_is_found(most: list[Resource]) -> None:
    deployment = yaml.safe_load(yaml.safe_dump(named(most, "Deployment", "worker")))
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="livenesProbe"):
        check(deployment)
    scaled = yaml.safe_load(yaml.safe_dump(named(most, "ScaledObject", "worker")))
    scaled["spec"]["maxReplicas"] = 3
    with pytest.raises(jsonschema.ValidationError, match="maxReplicas"):
        check(scaled)


def test_the_branches_are_all_rendered(most: list[Resource]) -> None:
    kinds = {it["kind"] for it in most}
    assert kinds == {*CORE_KINDS, *(kind for _, kind in SCHEMAS)}
    assert containers(most).keys() == (services().keys() - SERVERS) | {"retrain"}


def test_a_container_runs_a_command_that_exists(resources: list[Resource]) -> None:
    """The image's entry point is `simpersona`; options that it does not have raise."""
    assert re.search(r'(?m)^ENTRYPOINT \["simpersona"\]$', (ROOT / "Dockerfile").read_text())
    for kind, container in containers(resources).items():
        if kind == "triton":
            continue
        assert "command" not in container, kind
        arguments = list(container["args"])
        command: click.Command = simpersona
        parent = None
        while isinstance(command, click.Group):
            called = arguments.pop(0)
            parent = click.Context(command, parent=parent)
            found = command.get_command(parent, called)
            assert found is not None, f"{kind}: {called}"
            command = found
        command.make_context(called, arguments, parent=parent)


def test_every_setting_exists_and_is_given_once(resources: list[Resource]) -> None:
    for kind, container in containers(resources).items():
        names = [it["name"] for it in container.get("env", [])]
        assert set(names) <= KNOWN, kind
        assert len(set(names)) == len(names), kind


def test_the_classes_of_settings_take_the_values(
    resources: list[Resource], monkeypatch: pytest.MonkeyPatch
) -> None:
    for container in containers(resources).values():
        with monkeypatch.context() as patch:
            for name, value in settings_of(container).items():
                patch.setenv(name, value or "redis+cluster://a:6379,b:6379")
            for settings in SETTINGS:
                if any(name.endswith("SECRET") for name in settings.variables()):
                    continue  # a Secret's value is not here
                settings()


def listening(container: Resource) -> set[int]:
    """Ports at which the process listens, by its settings and options."""
    values = settings_of(container)
    named_so = [
        values[name] for name in values if re.fullmatch(r"SIMPERSONA_(\w+_)?PORT", name)
    ]  # fmt: skip
    options = [
        part.partition("=")[2] for part in container.get("args", []) if part.startswith("--metrics-port=")
    ]
    return {int(port) for port in (*named_so, *options) if port}


def test_a_port_is_one_that_the_process_listens_at_for_others(resources: list[Resource]) -> None:
    for kind, container in containers(resources).items():
        ports = {it["containerPort"] for it in container.get("ports", [])}
        if kind == "triton":
            assert ports == {8000, 8001, 8002}  # its defaults
            continue
        assert ports == listening(container), kind
        if ports:
            hosts = {
                v
                for name, v in settings_of(container).items()
                if re.fullmatch(r"SIMPERSONA_(\w+_)?HOST", name)
            }
            hosts |= {
                part.partition("=")[2] for part in container["args"] if part.startswith("--metrics-host=")
            }
            assert hosts == {"0.0.0.0"}, kind


def test_a_port_is_the_one_of_compose(most: list[Resource]) -> None:
    jobs = yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]
    scraped = {sd["names"][0]: sd["port"] for job in jobs for sd in job["dns_sd_configs"]}
    for kind, port in scraped.items():
        assert port in {it["containerPort"] for it in containers(most)[kind]["ports"]}, kind


def test_a_probe_asks_where_something_answers_without_a_key(resources: list[Resource]) -> None:
    for kind, container in containers(resources).items():
        ports = {it["name"] for it in container.get("ports", [])}
        probes = {name: probe for name, probe in container.items() if name.endswith("Probe")}
        assert bool(probes) == bool(ports), kind
        for probe in probes.values():
            asked = probe["httpGet"]
            assert asked["port"] in ports, kind
            match kind:
                case "api":
                    assert asked["path"] in PUBLIC
                case "triton":
                    assert asked["path"] in ("/v2/health/live", f"/v2/models/{MODEL_NAME}/ready")
                case _:
                    assert asked["path"] == "/metrics"
    api = containers(resources)["api"]
    assert api["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert api["livenessProbe"]["httpGet"]["path"] == "/healthz", (
        "a store that is away is no reason to restart"
    )


def test_a_pod_gets_the_time_that_its_end_takes(most: list[Resource]) -> None:
    grace = {kind: template["spec"].get("terminationGracePeriodSeconds") for kind, template in pods(most)}
    assert grace["worker"] > WorkerSettings().flush_timeout_s + _SPARE_S
    drain = containers(most)["api"]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert grace["api"] > drain + ApiSettings().grace_s


def test_a_service_and_a_policy_choose_pods_and_their_ports(resources: list[Resource]) -> None:
    ports = {kind: c.get("ports", []) for kind, c in containers(resources).items()}
    for resource in resources:
        match resource["kind"]:
            case "Service":
                there = ports[resource["spec"]["selector"]["app.kubernetes.io/component"]]
                assert {it["targetPort"] for it in resource["spec"]["ports"]} <= {it["name"] for it in there}
            case "NetworkPolicy" if "Ingress" in resource["spec"]["policyTypes"]:
                kind = resource["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
                allowed = {it["port"] for rule in resource["spec"]["ingress"] for it in rule["ports"]}
                if kind in ports:
                    assert allowed == {it["containerPort"] for it in ports[kind]}, kind


def test_every_pod_has_a_policy_and_labels_that_choose_it(most: list[Resource]) -> None:
    policies = {
        it["spec"]["podSelector"]["matchLabels"].get("app.kubernetes.io/component")
        for it in most
        if it["kind"] == "NetworkPolicy"
    }
    for resource in most:
        if resource["kind"] == "Deployment":
            labels = resource["spec"]["template"]["metadata"]["labels"]
            assert resource["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert {kind for kind, _ in pods(most)} <= policies


def test_the_urls_between_pods_lead_to_a_service_and_its_port(most: list[Resource]) -> None:
    served = {
        f"{it['metadata']['name']}:{port['port']}"
        for it in most
        if it["kind"] == "Service"
        for port in it["spec"]["ports"]
    }
    asked = [
        *re.findall(
            r"//([^/]+)/metrics", str(settings_of(containers(most)["api"])["SIMPERSONA_DASHBOARD_WORKERS"])
        ),
        *re.findall(
            r"//([^/]+)/", str(settings_of(containers(most)["retrain"])["SIMPERSONA_RETRAIN_METRICS_URLS"])
        ),
        settings_of(containers(most)["worker"])["SIMPERSONA_ENCODER_TRITON_URL"],
    ]
    assert len(asked) == 3
    assert set(asked) <= served


def test_the_workers_scale_by_the_lag_of_their_group_up_to_the_partitions(most: list[Resource]) -> None:
    spec = named(most, "ScaledObject", "worker")["spec"]
    assert spec["maxReplicaCount"] == MOST["topics"]["partitions"]
    (kafka, cpu) = spec["triggers"]
    assert kafka["metadata"]["consumerGroup"] == WorkerSettings().group
    assert kafka["metadata"]["topic"] == MOST["env"]["SIMPERSONA_TOPIC"]
    assert kafka["metadata"]["bootstrapServers"] == MOST["kafka"]["bootstrapServers"]
    assert cpu["type"] == "cpu"
    assert "replicas" not in named(most, "Deployment", "worker")["spec"], "two would scale it"
    assert named(most, "TriggerAuthentication", "kafka")
    # Its behaviour is what a HorizontalPodAutoscaler's is.
    autoscaler = yaml.safe_load(yaml.safe_dump(named(most, "HorizontalPodAutoscaler", "api")))
    autoscaler["spec"]["behavior"] = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    check(autoscaler)


def test_strimzi_makes_the_topics_that_init_would_make(most: list[Resource]) -> None:
    made = {it["metadata"]["name"]: it["spec"] for it in most if it["kind"] == "KafkaTopic"}
    count, copies = MOST["topics"]["partitions"], 3
    in_sync = {"min.insync.replicas": str(least_in_sync(copies))}
    assert made == {
        name: {"partitions": partitions, "replicas": copies, "config": {**config, **in_sync}}
        for name, (partitions, config) in topics(count).items()
    }


def test_every_volume_is_mounted_and_every_mount_is_a_volume(resources: list[Resource]) -> None:
    (volumes,) = re.findall(r"(?m)^VOLUME (.+)$", (ROOT / "Dockerfile").read_text())
    for kind, template in pods(resources):
        (container,) = template["spec"]["containers"]
        mounted = {it["name"]: it["mountPath"] for it in container["volumeMounts"]}
        assert mounted.keys() == {it["name"] for it in template["spec"]["volumes"]}, kind
        if kind != "triton":
            assert set(yaml.safe_load(volumes)) <= set(mounted.values()), kind
            assert settings_of(container)["SIMPERSONA_HOME"] == mounted["data"]
        for name, value in settings_of(container).items():
            if name.startswith("SIMPERSONA_KAFKA_SSL_"):
                assert any(str(value).startswith(f"{path}/") for path in mounted.values()), name


def test_compiled_code_is_not_shared_between_pods(resources: list[Resource]) -> None:
    """As in compose: numba unpickles its cache."""
    (cache,) = re.findall(r"(?m)^ENV NUMBA_CACHE_DIR=(\S+)$", (ROOT / "Dockerfile").read_text())
    for kind, template in pods(resources):
        if kind == "triton":
            continue
        (name,) = [
            it["name"]
            for it in template["spec"]["containers"][0]["volumeMounts"]
            if cache.startswith(it["mountPath"])
        ]
        (volume,) = [it for it in template["spec"]["volumes"] if it["name"] == name]
        assert volume["emptyDir"] == {}, kind


def test_no_pod_is_root_or_may_write_its_image(resources: list[Resource]) -> None:
    (user,) = re.findall(r"useradd --uid (\d+)", (ROOT / "Dockerfile").read_text())
    for kind, template in pods(resources):
        pod, (container,) = template["spec"], template["spec"]["containers"]
        assert pod["securityContext"]["runAsNonRoot"] is True, kind
        assert pod["securityContext"]["runAsUser"] == int(user), kind
        assert pod["automountServiceAccountToken"] is False, kind
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }, kind
        assert container["resources"]["requests"].keys() == {"cpu", "memory"}, kind


def test_a_secret_goes_to_those_that_need_it(most: list[Resource]) -> None:
    """No secret stands in a resource; the key of buyer ids and the webhook's go to one kind of pod each."""
    holders: dict[str, set[str]] = {}
    for kind, container in containers(most).items():
        for it in container.get("env", []):
            if "valueFrom" in it:
                holders.setdefault(it["name"], set()).add(kind)
    assert holders["SIMPERSONA_ID_KEY"] == {"api"}
    assert holders["SIMPERSONA_WEBHOOK_SECRET"] == {"webhook"}
    everybody = containers(most).keys() - {"triton"}
    assert holders["SIMPERSONA_KAFKA_SASL_PASSWORD"] == everybody
    assert holders["SIMPERSONA_STORE_URL"] == everybody
    assert not [it for it in most if it["kind"] == "Secret"]


def test_triton_serves_the_folder_that_init_fills(most: list[Resource]) -> None:
    (mount,) = [it for it in containers(most)["triton"]["volumeMounts"] if it["name"] == "data"]
    assert f"--triton-models=/data/{mount['subPath']}" in containers(most)["init"]["args"]
    assert f"--model-repository={mount['mountPath']}" in containers(most)["triton"]["args"]
    assert f"--load-model={MODEL_NAME}" in containers(most)["triton"]["args"]
    assert containers(most)["triton"]["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert "--triton-backend=onnxruntime-gpu" in containers(most)["init"]["args"]
    theirs = services()["triton"]["command"]
    assert containers(most)["triton"]["args"] == theirs[1:]


def test_the_chart_is_of_this_release() -> None:
    released = re.search(r'(?m)^version = "(.+)"$', (ROOT / "pyproject.toml").read_text())
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert released is not None
    assert chart["version"] == chart["appVersion"] == released[1]
