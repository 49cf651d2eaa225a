"""The behaviour of the Kubernetes API that gpuwise relies on, through the official client; a real server passes too."""

import json
import time

import pytest
from kubernetes import watch
from kubernetes.client import (
    ApiException,
    AppsV1Api,
    AutoscalingV2Api,
    BatchV1Api,
    CoordinationV1Api,
    CoreV1Api,
    CustomObjectsApi,
    PolicyV1Api,
    VersionApi,
)
from tests.cluster_under_test import LABEL, NAMESPACE

from gpuwise.emulate.objects import autoscaler, budget, deployment, job, node, pod, statefulset

COMPACTS = "a client cannot make a server compact its history"
PAUSE = {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}]}
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON = "application/json-patch+json"


@pytest.fixture
def core(api):
    return CoreV1Api(api)


@pytest.fixture
def apps(api):
    return AppsV1Api(api)


@pytest.fixture
def call(api):
    """Send a request to any path with any content type; the answer as JSON, or as text if it is not JSON."""

    def send(method, path, body=None, content_type=None, **query):
        headers = {"Accept": "application/json"} | ({"Content-Type": content_type} if content_type else {})
        serialized = api.param_serialize(
            method,
            path,
            query_params=list(query.items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
        )
        response = api.call_api(*serialized)
        text = response.read()
        return response.status, json.loads(text) if text.startswith(b"{") else text.decode()

    return send


def configmap(name, data=None, **metadata):
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name} | metadata, "data": data or {"a": "1"}}


def error_status(function, *args, **kwargs):
    with pytest.raises(ApiException) as error:
        function(*args, **kwargs)
    return error.value.status


def at(namespace, plural, name="", sub="", group="apps/v1"):
    root = f"/apis/{group}" if "/" in group else f"/api/{group}"
    return "/".join(filter(None, (root, "namespaces", namespace, plural, name, sub)))


class TestDiscovery:
    def test_version(self, api):
        assert int(VersionApi(api).get_code().major) == 1

    def test_groups_and_resources(self, call):
        assert "v1" in call("GET", "/api")[1]["versions"]
        groups = {group["name"] for group in call("GET", "/apis")[1]["groups"]}
        assert {"apps", "batch", "policy", "autoscaling", "coordination.k8s.io"} <= groups
        names = {one["name"] for one in call("GET", "/apis/apps/v1")[1]["resources"]}
        assert {"deployments", "deployments/scale", "deployments/status"} <= names

    def test_an_unknown_group_is_404_in_text(self, call):
        """Recorded: not_found/group. Within a served group the answer is JSON."""
        assert call("GET", "/apis/nobody.example/v1/things") == (404, "404 page not found\n")
        code, status = call("GET", "/apis/apps/v1/things")
        assert (code, status["kind"], status["details"]) == (404, "Status", {})

    def test_a_missing_object_is_404_with_details(self, call, namespace):
        code, status = call("GET", at(namespace, "deployments", "nobody"))
        assert (code, status["kind"], status["reason"], status["code"]) == (404, "Status", "NotFound", 404)
        assert status["details"] == {"name": "nobody", "group": "apps", "kind": "deployments"}


class TestVersions:
    def test_every_write_changes_the_version(self, core, namespace):
        first = core.create_namespaced_config_map(namespace, configmap("one"))
        second = core.patch_namespaced_config_map("one", namespace, {"data": {"a": "2"}})
        assert second.metadata.resource_version != first.metadata.resource_version
        assert second.metadata.uid == first.metadata.uid
        listed = core.list_namespaced_config_map(namespace).metadata.resource_version
        assert int(listed) >= int(second.metadata.resource_version)

    def test_a_write_without_a_change_keeps_the_version(self, core, namespace):
        first = core.create_namespaced_config_map(namespace, configmap("one"))
        again = core.patch_namespaced_config_map("one", namespace, {"data": {"a": "1"}})
        assert again.metadata.resource_version == first.metadata.resource_version

    def test_a_stale_put_is_409(self, core, namespace):
        old = core.create_namespaced_config_map(namespace, configmap("one"))
        core.patch_namespaced_config_map("one", namespace, {"data": {"a": "2"}})
        old.data = {"a": "3"}
        assert error_status(core.replace_namespaced_config_map, "one", namespace, old) == 409

    def test_a_put_without_version_is_accepted(self, core, namespace):
        core.create_namespaced_config_map(namespace, configmap("one"))
        core.replace_namespaced_config_map("one", namespace, configmap("one", {"b": "2"}))
        assert core.read_namespaced_config_map("one", namespace).data == {"b": "2"}

    @pytest.mark.parametrize("content_type", [MERGE, STRATEGIC])
    def test_a_stale_patch_is_409(self, core, call, namespace, content_type):
        old = core.create_namespaced_config_map(namespace, configmap("one"))
        core.patch_namespaced_config_map("one", namespace, {"data": {"a": "2"}})
        body = {"metadata": {"resourceVersion": old.metadata.resource_version}, "data": {"a": "3"}}
        path = at(namespace, "configmaps", "one", group="v1")
        assert call("PATCH", path, body, content_type)[0] == 409

    def test_a_stale_json_patch_is_409(self, core, call, namespace):
        old = core.create_namespaced_config_map(namespace, configmap("one"))
        core.patch_namespaced_config_map("one", namespace, {"data": {"a": "2"}})
        body = [
            {"op": "replace", "path": "/metadata/resourceVersion", "value": old.metadata.resource_version},
            {"op": "replace", "path": "/data/a", "value": "3"},
        ]
        assert call("PATCH", at(namespace, "configmaps", "one", group="v1"), body, JSON)[0] == 409
        assert core.read_namespaced_config_map("one", namespace).data == {"a": "2"}

    def test_a_patch_with_another_uid_is_422(self, core, call, namespace):
        """Not 409: kubernetes#127625."""
        core.create_namespaced_config_map(namespace, configmap("one"))
        body = {"metadata": {"uid": "00000000-0000-0000-0000-000000000000"}, "data": {"a": "3"}}
        code, status = call("PATCH", at(namespace, "configmaps", "one", group="v1"), body, MERGE)
        assert code == 422
        assert status["details"]["causes"][0]["field"] == "metadata.uid"

    def test_a_put_with_another_uid_is_409(self, core, namespace):
        core.create_namespaced_config_map(namespace, configmap("one"))
        other = configmap("one", uid="00000000-0000-0000-0000-000000000000")
        assert error_status(core.replace_namespaced_config_map, "one", namespace, other) == 409

    @pytest.mark.parametrize("field", ["uid", "resourceVersion"])
    def test_a_delete_with_a_failed_precondition_is_409(self, core, namespace, field):
        core.create_namespaced_config_map(namespace, configmap("one"))
        body = {"preconditions": {field: "1"}}
        assert error_status(core.delete_namespaced_config_map, "one", namespace, body=body) == 409
        core.read_namespaced_config_map("one", namespace)

    def test_a_second_object_of_a_name_is_409(self, core, namespace):
        core.create_namespaced_config_map(namespace, configmap("one"))
        assert error_status(core.create_namespaced_config_map, namespace, configmap("one")) == 409

    def test_generation_counts_only_changes_of_the_spec(self, apps, namespace):
        apps.create_namespaced_deployment(namespace, deployment("d", replicas=0, namespace=namespace, spec=PAUSE))
        body = {"metadata": {"labels": {"a": "b"}}}
        assert apps.patch_namespaced_deployment("d", namespace, body).metadata.generation == 1
        assert apps.patch_namespaced_deployment("d", namespace, {"spec": {"replicas": 1}}).metadata.generation == 2

    def test_managed_fields_name_the_writer(self, core, namespace):
        core.create_namespaced_config_map(namespace, configmap("one"), field_manager="ada")
        core.patch_namespaced_config_map("one", namespace, {"data": {"a": "2"}}, field_manager="bob")
        fields = core.read_namespaced_config_map("one", namespace).metadata.managed_fields
        assert {entry.manager for entry in fields} == {"ada", "bob"}


class TestPatches:
    @pytest.fixture
    def path(self, apps, namespace):
        spec = {
            "containers": [
                {"name": "main", "image": "a", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
                {"name": "side", "image": "b", "ports": [{"containerPort": 80}]},
            ],
            "tolerations": [{"key": "one", "operator": "Exists"}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        }
        body = deployment("d", replicas=0, namespace=namespace, spec=spec)
        apps.create_namespaced_deployment(namespace, body)
        return at(namespace, "deployments", "d")

    def patch(self, call, path, spec, content_type=STRATEGIC):
        code, item = call("PATCH", path, {"spec": {"template": {"spec": spec}}}, content_type)
        assert code == 200, item
        return item["spec"]["template"]["spec"]

    def test_strategic_merges_containers_and_env_by_name(self, call, path):
        change = {"containers": [{"name": "main", "env": [{"name": "B", "value": "9"}, {"name": "C", "value": "3"}]}]}
        spec = self.patch(call, path, change)
        main = next(one for one in spec["containers"] if one["name"] == "main")
        assert {one["name"]: one["value"] for one in main["env"]} == {"A": "1", "B": "9", "C": "3"}
        assert main["image"] == "a"
        assert {one["name"] for one in spec["containers"]} == {"main", "side"}

    def test_strategic_replaces_all_tolerations(self, call, path):
        spec = self.patch(call, path, {"tolerations": [{"key": "two", "operator": "Exists"}]})
        assert [one["key"] for one in spec["tolerations"]] == ["two"]

    def test_strategic_deletes_by_directive(self, call, path):
        spec = self.patch(call, path, {"containers": [{"name": "side", "$patch": "delete"}]})
        assert [one["name"] for one in spec["containers"]] == ["main"]

    def test_strategic_replaces_by_directive(self, call, path):
        change = {"containers": [{"$patch": "replace"}, {"name": "new", "image": "c"}]}
        assert [one["name"] for one in self.patch(call, path, change)["containers"]] == ["new"]

    def test_strategic_merges_ports_by_container_port(self, call, path):
        change = {"containers": [{"name": "side", "ports": [{"containerPort": 81}]}]}
        side = next(one for one in self.patch(call, path, change)["containers"] if one["name"] == "side")
        assert {one["containerPort"] for one in side["ports"]} == {80, 81}

    def test_strategic_orders_by_directive(self, call, path):
        change = {"$setElementOrder/containers": [{"name": "side"}, {"name": "main"}], "containers": []}
        assert [one["name"] for one in self.patch(call, path, change)["containers"]] == ["side", "main"]

    def test_strategic_removes_a_resource_by_null(self, call, path):
        limits = {"containers": [{"name": "main", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]}
        self.patch(call, path, limits)
        change = {"containers": [{"name": "main", "resources": {"limits": {"memory": None}}}]}
        main = next(one for one in self.patch(call, path, change)["containers"] if one["name"] == "main")
        assert main["resources"]["limits"] == {"cpu": "1"}

    def test_merge_replaces_lists(self, call, path):
        change = {"containers": [{"name": "main", "image": "z"}]}
        assert [one["name"] for one in self.patch(call, path, change, MERGE)["containers"]] == ["main"]

    def test_merge_removes_by_null(self, call, path):
        call("PATCH", path, {"metadata": {"annotations": {"a": "1", "b": "2"}}}, MERGE)
        _, item = call("PATCH", path, {"metadata": {"annotations": {"a": None}}}, MERGE)
        assert item["metadata"]["annotations"]["b"] == "2"
        assert "a" not in item["metadata"]["annotations"]

    def test_json_patch_is_all_or_nothing(self, call, path):
        body = [
            {"op": "replace", "path": "/spec/replicas", "value": 3},
            {"op": "test", "path": "/spec/replicas", "value": 4},
        ]
        assert call("PATCH", path, body, JSON)[0] == 422
        assert call("GET", path)[1]["spec"]["replicas"] == 0

    def test_json_patch_of_a_missing_path_is_422(self, call, path):
        assert call("PATCH", path, [{"op": "remove", "path": "/spec/nothing"}], JSON)[0] == 422

    def test_an_unknown_content_type_is_415(self, call, path):
        assert call("PATCH", path, {"spec": {}}, "application/json")[0] == 415

    def test_dry_run_validates_and_stores_nothing(self, call, path):
        body = {"spec": {"replicas": 3}}
        code, item = call("PATCH", path, body, MERGE, dryRun="All")
        assert (code, item["spec"]["replicas"]) == (200, 3)
        assert call("GET", path)[1]["spec"]["replicas"] == 0
        assert call("PATCH", path, {"spec": {"replicas": -1}}, MERGE, dryRun="All")[0] == 422


class TestSubresources:
    def test_status_and_spec_are_written_separately(self, apps, namespace):
        body = deployment("d", replicas=0, namespace=namespace, spec=PAUSE)
        apps.create_namespaced_deployment(namespace, body)
        change = {"spec": {"replicas": 5}, "status": {"conditions": [{"type": "Odd", "status": "True"}]}}
        after = apps.patch_namespaced_deployment_status("d", namespace, change)
        assert after.spec.replicas == 0
        change = {"status": {"observedGeneration": 99}}
        after = apps.patch_namespaced_deployment("d", namespace, change)
        assert after.status.observed_generation != 99

    @pytest.mark.parametrize("kind", ["deployment", "stateful_set"])
    def test_scale(self, apps, namespace, kind):
        make = deployment if kind == "deployment" else statefulset
        getattr(apps, f"create_namespaced_{kind}")(namespace, make("d", replicas=0, namespace=namespace, spec=PAUSE))
        scale = getattr(apps, f"read_namespaced_{kind}_scale")("d", namespace)
        assert scale.spec.replicas is None  # 0 is omitted: recorded in scale/get-at-0
        assert scale.status.selector == "app=d"
        assert (
            getattr(apps, f"patch_namespaced_{kind}_scale")("d", namespace, {"spec": {"replicas": 1}}).spec.replicas
            == 1
        )
        stale = scale.metadata.resource_version
        body = {"metadata": {"resourceVersion": stale}, "spec": {"replicas": 2}}
        assert error_status(getattr(apps, f"patch_namespaced_{kind}_scale"), "d", namespace, body) == 409
        fresh = getattr(apps, f"read_namespaced_{kind}")("d", namespace)
        assert (fresh.spec.replicas, fresh.metadata.generation) == (1, 2)


class TestInvalidObjects:
    def causes(self, call, namespace, item, plural="deployments", group="apps/v1"):
        code, status = call("POST", at(namespace, plural, group=group), item, "application/json")
        assert (code, status["reason"]) == (422, "Invalid")
        return {cause["field"] for cause in status["details"]["causes"]}

    def test_no_name(self, call, namespace):
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}
        assert "metadata.name" in self.causes(call, namespace, body, "configmaps", "v1")

    def test_negative_replicas(self, call, namespace):
        body = deployment("d", replicas=-1, namespace=namespace, spec=PAUSE)
        assert self.causes(call, namespace, body) == {"spec.replicas"}

    def test_a_progress_deadline_before_a_pod_can_be_available(self, call, namespace):
        body = deployment("d", namespace=namespace, spec=PAUSE)
        body["spec"]["minReadySeconds"] = 600
        assert self.causes(call, namespace, body) == {"spec.progressDeadlineSeconds"}

    def test_a_selector_that_does_not_match_the_template(self, call, namespace):
        body = deployment("d", namespace=namespace, spec=PAUSE)
        body["spec"]["selector"] = {"matchLabels": {"app": "other"}}
        assert self.causes(call, namespace, body) == {"spec.template.metadata.labels"}

    def test_no_containers(self, call, namespace):
        body = deployment("d", namespace=namespace, spec={"containers": []})
        assert self.causes(call, namespace, body) == {"spec.template.spec.containers"}

    @pytest.mark.parametrize(
        ("resources", "field"),
        [
            ({"limits": {"nvidia.com/gpu": "500m"}}, "limits[nvidia.com/gpu]"),
            ({"requests": {"nvidia.com/gpu": "1"}}, "limits"),
            ({"requests": {"nvidia.com/gpu": "1"}, "limits": {"nvidia.com/gpu": "2"}}, "requests"),
        ],
    )
    def test_gpus_are_whole_and_not_overcommitted(self, call, namespace, resources, field):
        spec = {"containers": [{"name": "main", "image": "a", "resources": resources}]}
        causes = self.causes(call, namespace, deployment("d", namespace=namespace, spec=spec))
        assert any(cause.endswith(field) for cause in causes)

    def test_a_deployments_selector_cannot_change(self, apps, namespace):
        apps.create_namespaced_deployment(namespace, deployment("d", replicas=0, namespace=namespace, spec=PAUSE))
        change = {
            "spec": {"selector": {"matchLabels": {"more": "x"}}, "template": {"metadata": {"labels": {"more": "x"}}}}
        }
        assert error_status(apps.patch_namespaced_deployment, "d", namespace, change) == 422

    def test_a_jobs_template_cannot_change(self, api, namespace):
        batch = BatchV1Api(api)
        batch.create_namespaced_job(namespace, job("j", namespace=namespace, spec=PAUSE))
        change = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "z"}]}}}}
        assert error_status(batch.patch_namespaced_job, "j", namespace, change) == 422

    def test_a_statefulsets_service_cannot_change(self, apps, namespace):
        apps.create_namespaced_stateful_set(namespace, statefulset("s", replicas=0, namespace=namespace, spec=PAUSE))
        assert error_status(apps.patch_namespaced_stateful_set, "s", namespace, {"spec": {"serviceName": "z"}}) == 422

    def test_the_namespace_must_exist(self, core):
        assert error_status(core.create_namespaced_config_map, "gpuwise-nowhere", configmap("one")) == 404

    def test_a_body_of_another_kind_is_400(self, core, namespace):
        body = configmap("one") | {"kind": "Pod"}
        assert error_status(core.create_namespaced_config_map, namespace, body) == 400


class TestLists:
    @pytest.fixture
    def seven(self, core, namespace):
        for number in range(7):
            labels = {"number": str(number), "parity": "odd" if number % 2 else "even"}
            core.create_namespaced_config_map(namespace, configmap(f"c{number}", labels=labels))
        return namespace

    @pytest.mark.parametrize(
        ("selector", "expected"),
        [
            ("parity=odd", {1, 3, 5}),
            ("parity==odd,number!=3", {1, 5}),
            ("number in (1, 2,9)", {1, 2}),
            ("number notin (0,1,2,3,4),parity", {5, 6}),
            ("parity,!nothing", set(range(7))),
            ("nothing", set()),
        ],
    )
    def test_label_selectors(self, core, seven, selector, expected):
        found = core.list_namespaced_config_map(seven, label_selector=f"number,{selector}").items
        assert {int(item.metadata.name[1:]) for item in found} == expected

    def test_field_selectors(self, core, seven):
        found = core.list_namespaced_config_map(seven, field_selector="metadata.name=c3").items
        assert [item.metadata.name for item in found] == ["c3"]
        found = core.list_config_map_for_all_namespaces(
            field_selector=f"metadata.namespace={seven},metadata.name!=c3", label_selector="number"
        )
        assert len(found.items) == 6

    @pytest.mark.parametrize("selector", [{"label_selector": "a in b"}, {"field_selector": "spec.nothing=1"}])
    def test_an_invalid_selector_is_400(self, core, seven, selector):
        assert error_status(core.list_namespaced_config_map, seven, **selector) == 400

    def test_pages_are_of_one_version(self, core, seven):
        first = core.list_namespaced_config_map(seven, limit=3)
        assert len(first.items) == 3
        assert first.metadata.remaining_item_count >= 4
        core.delete_namespaced_config_map("c6", seven)
        names, token = [item.metadata.name for item in first.items], first.metadata._continue
        while token:
            page = core.list_namespaced_config_map(seven, limit=3, _continue=token)
            assert page.metadata.resource_version == first.metadata.resource_version
            names += [item.metadata.name for item in page.items]
            token = page.metadata._continue
        assert [name for name in names if name.startswith("c")] == sorted(f"c{number}" for number in range(7))

    def test_the_items_of_a_builtin_list_have_no_kind(self, call, seven):
        items = call("GET", at(seven, "configmaps", group="v1"))[1]["items"]
        assert all("kind" not in item and "apiVersion" not in item for item in items)

    @pytest.mark.emulator_only(reason=COMPACTS)
    def test_an_expired_continue_token_is_410(self, core, seven, emulator):
        token = core.list_namespaced_config_map(seven, limit=3).metadata._continue
        emulator.compact()
        assert error_status(core.list_namespaced_config_map, seven, limit=3, _continue=token) == 410

    def test_a_collection_is_deleted_by_selector(self, core, seven):
        core.delete_collection_namespaced_config_map(seven, label_selector="parity=odd")
        found = core.list_namespaced_config_map(seven, label_selector="number").items
        assert {item.metadata.name for item in found} == {"c0", "c2", "c4", "c6"}


class TestWatch:
    def follow(self, core, namespace, **kwargs):
        stream = watch.Watch().stream(core.list_namespaced_config_map, namespace, timeout_seconds=5, **kwargs)
        return ((event["type"], event["object"].metadata.name) for event in stream)

    def test_events_after_a_version_arrive_in_order(self, core, namespace):
        start = core.list_namespaced_config_map(namespace).metadata.resource_version
        core.create_namespaced_config_map(namespace, configmap("one"))
        core.patch_namespaced_config_map("one", namespace, {"data": {"a": "2"}})
        core.delete_namespaced_config_map("one", namespace)
        events = self.follow(core, namespace, resource_version=start, field_selector="metadata.name=one")
        assert [next(events) for _ in range(3)] == [("ADDED", "one"), ("MODIFIED", "one"), ("DELETED", "one")]

    def test_events_arrive_while_the_watch_is_open(self, core, namespace):
        from concurrent.futures import ThreadPoolExecutor

        start = core.list_namespaced_config_map(namespace).metadata.resource_version
        with ThreadPoolExecutor(1) as others:
            events = self.follow(core, namespace, resource_version=start, field_selector="metadata.name=late")
            seen = others.submit(next, events)
            core.create_namespaced_config_map(namespace, configmap("late"))
            assert seen.result(timeout=10) == ("ADDED", "late")

    def test_without_a_version_it_starts_with_the_existing_objects(self, core, namespace):
        core.create_namespaced_config_map(namespace, configmap("one"))
        events = self.follow(core, namespace, field_selector="metadata.name=one")
        assert next(events) == ("ADDED", "one")

    def test_leaving_a_selector_is_a_deletion(self, core, namespace):
        start = core.list_namespaced_config_map(namespace).metadata.resource_version
        core.create_namespaced_config_map(namespace, configmap("one", labels={"in": "yes"}))
        core.patch_namespaced_config_map("one", namespace, {"metadata": {"labels": {"in": "no"}}})
        core.patch_namespaced_config_map("one", namespace, {"metadata": {"labels": {"in": "yes"}}})
        events = self.follow(core, namespace, resource_version=start, label_selector="in=yes")
        assert [next(events)[0] for _ in range(3)] == ["ADDED", "DELETED", "ADDED"]

    def test_it_ends_after_the_clients_timeout(self, core, namespace):
        start = time.monotonic()
        stream = watch.Watch().stream(
            core.list_namespaced_config_map, namespace, timeout_seconds=1, allow_watch_bookmarks=True
        )
        assert {event["type"] for event in stream} <= {"ADDED", "BOOKMARK"}
        assert 0.5 < time.monotonic() - start < 10

    def test_a_bookmark_marks_the_end_of_the_initial_events(self, core, namespace):
        """As client-go's watch-list requests it since 1.35; servers before 1.32 answer 422."""
        core.create_namespaced_config_map(namespace, configmap("one"))
        options = {"send_initial_events": True, "resource_version_match": "NotOlderThan", "allow_watch_bookmarks": True}
        stream = watch.Watch().stream(core.list_namespaced_config_map, namespace, timeout_seconds=1, **options)
        events = [(event["type"], event["raw_object"]["metadata"].get("annotations", {})) for event in stream]
        assert events[0][0] == "ADDED"
        assert ("BOOKMARK", {"k8s.io/initial-events-end": "true"}) in events

    @pytest.mark.emulator_only(reason=COMPACTS)
    def test_a_compacted_version_is_410(self, core, namespace, emulator):
        start = core.list_namespaced_config_map(namespace).metadata.resource_version
        core.create_namespaced_config_map(namespace, configmap("one"))
        emulator.compact()
        with pytest.raises(ApiException) as error:
            list(self.follow(core, namespace, resource_version=start))
        assert error.value.status == 410


class TestControllers:
    def pods(self, core, namespace, app="d"):
        return core.list_namespaced_pod(namespace, label_selector=f"app={app}").items

    def ready(self, core, namespace, count, app="d"):
        pods = self.pods(core, namespace, app)
        conditions = [{one.type: one.status for one in pod.status.conditions or []} for pod in pods]
        return len(pods) == count and all(one.get("Ready") == "True" for one in conditions)

    def test_a_deployment_creates_its_pods_through_a_replicaset(self, core, apps, namespace, eventually):
        apps.create_namespaced_deployment(namespace, deployment("d", replicas=2, namespace=namespace, spec=PAUSE))
        eventually(lambda: self.ready(core, namespace, 2))
        owner = self.pods(core, namespace)[0].metadata.owner_references[0]
        one = apps.read_namespaced_replica_set(owner.name, namespace)
        assert (owner.kind, one.metadata.owner_references[0].kind) == ("ReplicaSet", "Deployment")
        status = eventually(lambda: self.complete(apps, namespace, 2))
        assert status.observed_generation == 1

    def test_a_status_exists_before_the_controller_observes_the_object(self, apps, namespace):
        made = apps.create_namespaced_deployment(namespace, deployment("d", namespace=namespace, spec=PAUSE))
        assert made.status is not None
        assert made.status.observed_generation is None

    def complete(self, apps, namespace, count):
        item = apps.read_namespaced_deployment("d", namespace)
        status = item.status
        current = status.observed_generation == item.metadata.generation
        counts = {status.replicas, status.updated_replicas, status.ready_replicas, status.available_replicas}
        return status if current and counts == {count or None} | ({0} & counts) else None

    def test_a_new_template_rolls_over(self, core, apps, namespace, eventually):
        apps.create_namespaced_deployment(namespace, deployment("d", replicas=3, namespace=namespace, spec=PAUSE))
        eventually(lambda: self.complete(apps, namespace, 3))
        before = {pod.metadata.name for pod in self.pods(core, namespace)}
        change = {"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}}
        apps.patch_namespaced_deployment("d", namespace, change)
        eventually(lambda: self.complete(apps, namespace, 3))
        after = eventually(lambda: [one for one in [self.pods(core, namespace)] if len(one) == 3])[0]
        assert before.isdisjoint(pod.metadata.name for pod in after)
        sets = apps.list_namespaced_replica_set(namespace, label_selector="app=d").items
        assert sorted(one.spec.replicas for one in sets) == [0, 3]

    def test_a_rolling_update_waits_for_min_ready_seconds_after_its_first_pods(self, core, apps, namespace, eventually):
        apps.create_namespaced_deployment(namespace, deployment("d", replicas=4, namespace=namespace, spec=PAUSE))
        eventually(lambda: self.complete(apps, namespace, 4))
        spec = {"minReadySeconds": 900, "progressDeadlineSeconds": 1_800}
        spec["strategy"] = {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
        spec["template"] = {"metadata": {"annotations": {"again": "1"}}}
        apps.patch_namespaced_deployment("d", namespace, {"spec": spec})

        def first():
            status = apps.read_namespaced_deployment("d", namespace).status
            return (status.updated_replicas, status.ready_replicas, status.available_replicas) == (1, 4, 3)

        eventually(first)
        apps.patch_namespaced_deployment("d", namespace, {"spec": {"minReadySeconds": 0}})
        eventually(lambda: self.complete(apps, namespace, 4))

    def test_scaling_down_ends_pods(self, core, apps, namespace, eventually):
        apps.create_namespaced_deployment(namespace, deployment("d", replicas=3, namespace=namespace, spec=PAUSE))
        eventually(lambda: self.ready(core, namespace, 3))
        apps.patch_namespaced_deployment_scale("d", namespace, {"spec": {"replicas": 0}})
        eventually(lambda: not self.pods(core, namespace))

    def uids(self, core, namespace):
        """The uids of the existing pods; while a StatefulSet replaces its only pod, there are none."""
        return {pod.metadata.uid for pod in self.pods(core, namespace)}

    def test_a_statefulset_numbers_its_pods(self, core, apps, namespace, eventually):
        apps.create_namespaced_stateful_set(namespace, statefulset("d", replicas=3, namespace=namespace, spec=PAUSE))
        eventually(lambda: self.ready(core, namespace, 3))
        assert {pod.metadata.name for pod in self.pods(core, namespace)} == {"d-0", "d-1", "d-2"}
        apps.patch_namespaced_stateful_set("d", namespace, {"spec": {"replicas": 1}})
        eventually(lambda: [pod.metadata.name for pod in self.pods(core, namespace)] == ["d-0"])
        old = self.pods(core, namespace)[0].metadata.uid
        change = {"spec": {"template": {"metadata": {"annotations": {"again": "1"}}}}}
        apps.patch_namespaced_stateful_set("d", namespace, change)
        eventually(lambda: self.ready(core, namespace, 1) and old not in self.uids(core, namespace))

    def test_a_job_runs_is_suspended_and_resumes(self, api, core, namespace, eventually):
        batch = BatchV1Api(api)
        batch.create_namespaced_job(namespace, job("j", parallelism=2, namespace=namespace, spec=PAUSE))

        def running():
            return len(core.list_namespaced_pod(namespace, label_selector="batch.kubernetes.io/job-name=j").items)

        eventually(lambda: running() == 2)
        batch.patch_namespaced_job("j", namespace, {"spec": {"suspend": True}})
        eventually(lambda: running() == 0)
        conditions = eventually(lambda: batch.read_namespaced_job("j", namespace).status.conditions)
        assert ("Suspended", "True") in {(one.type, one.status) for one in conditions}
        batch.patch_namespaced_job("j", namespace, {"spec": {"suspend": False}})
        eventually(lambda: running() == 2)

    def test_deleting_an_owner_deletes_its_dependents(self, core, apps, namespace, eventually):
        apps.create_namespaced_deployment(namespace, deployment("d", replicas=2, namespace=namespace, spec=PAUSE))
        eventually(lambda: self.ready(core, namespace, 2))
        apps.delete_namespaced_deployment("d", namespace)
        eventually(lambda: not self.pods(core, namespace))
        assert apps.list_namespaced_replica_set(namespace).items == []

    def test_orphans_stay(self, core, apps, namespace, eventually):
        apps.create_namespaced_deployment(namespace, deployment("d", replicas=1, namespace=namespace, spec=PAUSE))
        eventually(lambda: self.ready(core, namespace, 1))
        apps.delete_namespaced_deployment("d", namespace, propagation_policy="Orphan")
        eventually(lambda: not apps.list_namespaced_deployment(namespace).items)
        eventually(lambda: not apps.list_namespaced_replica_set(namespace).items[0].metadata.owner_references)
        assert self.ready(core, namespace, 1)

    def test_a_pod_is_deleted_in_two_steps(self, core, namespace, eventually):
        core.create_namespaced_pod(namespace, pod("p", namespace=namespace, spec=PAUSE))
        eventually(lambda: core.read_namespaced_pod("p", namespace).status.phase == "Running")
        start = core.read_namespaced_pod("p", namespace).metadata.resource_version
        core.delete_namespaced_pod("p", namespace)
        stream = watch.Watch().stream(
            core.list_namespaced_pod,
            namespace,
            resource_version=start,
            timeout_seconds=60,
            field_selector="metadata.name=p",
        )
        first = next(event for event in stream if event["object"].metadata.deletion_timestamp)
        assert first["type"] == "MODIFIED"
        assert next(event for event in stream if event["type"] == "DELETED")

    def test_finalizers_delay_deletion(self, core, namespace):
        core.create_namespaced_config_map(namespace, configmap("one", finalizers=["gpuwise.dev/test"]))
        core.delete_namespaced_config_map("one", namespace)
        assert core.read_namespaced_config_map("one", namespace).metadata.deletion_timestamp is not None
        core.patch_namespaced_config_map("one", namespace, {"metadata": {"finalizers": None}})
        assert error_status(core.read_namespaced_config_map, "one", namespace) == 404


class TestDisruptionBudgets:
    def test_evictions_stop_at_the_budget(self, api, core, apps, namespace, eventually):
        policy = PolicyV1Api(api)
        apps.create_namespaced_deployment(namespace, deployment("d", replicas=2, namespace=namespace, spec=PAUSE))
        eventually(lambda: apps.read_namespaced_deployment("d", namespace).status.ready_replicas == 2)
        body = budget("b", app="d", namespace=namespace, minAvailable=2)
        policy.create_namespaced_pod_disruption_budget(namespace, body)

        def allowed():
            status = policy.read_namespaced_pod_disruption_budget("b", namespace).status
            return None if status is None or status.expected_pods != 2 else status.disruptions_allowed

        eventually(lambda: allowed() == 0)
        name = core.list_namespaced_pod(namespace, label_selector="app=d").items[0].metadata.name
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": namespace}}
        assert error_status(core.create_namespaced_pod_eviction, name, namespace, eviction) == 429
        policy.patch_namespaced_pod_disruption_budget("b", namespace, {"spec": {"minAvailable": 1}})
        eventually(lambda: allowed() == 1)
        core.create_namespaced_pod_eviction(name, namespace, eviction)
        eventually(lambda: name not in {one.metadata.name for one in core.list_namespaced_pod(namespace).items})

    def test_both_bounds_are_422(self, api, namespace):
        body = budget("b", app="d", namespace=namespace, minAvailable=1, maxUnavailable=1)
        assert error_status(PolicyV1Api(api).create_namespaced_pod_disruption_budget, namespace, body) == 422


class TestOtherKinds:
    def test_a_stale_lease_update_is_409(self, api, namespace):
        leases = CoordinationV1Api(api)
        body = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15}}
        mine = leases.create_namespaced_lease(namespace, body)
        theirs = leases.read_namespaced_lease("leader", namespace)
        mine.spec.holder_identity, theirs.spec.holder_identity = "a2", "b"
        leases.replace_namespaced_lease("leader", namespace, mine)
        assert error_status(leases.replace_namespaced_lease, "leader", namespace, theirs) == 409

    def test_autoscalers(self, api, namespace):
        body = autoscaler("h", kind="Deployment", target="d", namespace=namespace)
        made = AutoscalingV2Api(api).create_namespaced_horizontal_pod_autoscaler(namespace, body)
        assert made.spec.scale_target_ref.name == "d"

    def test_custom_resources(self, api, namespace):
        custom = CustomObjectsApi(api)
        body = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "s"}, "spec": {}}
        where = ("keda.sh", "v1alpha1", namespace, "scaledobjects")
        custom.create_namespaced_custom_object(*where, body)
        assert custom.list_namespaced_custom_object(*where)["items"][0]["kind"] == "ScaledObject"

    def test_custom_resources_do_not_support_strategic_patches(self, call, namespace):
        body = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "s"}, "spec": {}}
        path = at(namespace, "scaledobjects", group="keda.sh/v1alpha1")
        assert call("POST", path, body, "application/json")[0] == 201
        assert call("PATCH", f"{path}/s", {"spec": {"a": 1}}, STRATEGIC)[0] == 415


def claim_of(core):
    return core.read_namespaced_persistent_volume_claim("data", NAMESPACE)


class TestGpuScheduling:
    """On GPU nodes, whose kubelets are simulated."""

    @pytest.fixture(autouse=True)
    def fleet(self, emulator):
        emulator.reset([node("whole", gpus=2), node("cut", gpus=0, mig={"1g.10gb": 2}), node("tainted", gpus=8)])
        taint = {"key": "dedicated", "value": "a", "effect": "NoSchedule"}
        labels = {"zone": "b", "size": "8"}
        emulator.load(node("tainted", gpus=8, taints=[taint], labels=labels))

    def place(self, core, emulator, **fields):
        resources = {"limits": {fields.pop("resource", "nvidia.com/gpu"): str(fields.pop("gpus", 1))}}
        spec = {"containers": [{"name": "main", "image": "a", "resources": resources}]} | fields
        item = core.create_namespaced_pod(NAMESPACE, {"metadata": {"generateName": "p-"}, "spec": spec})
        emulator.settle()
        return core.read_namespaced_pod(item.metadata.name, NAMESPACE)

    def test_devices_are_counted(self, core, emulator):
        assert [self.place(core, emulator).spec.node_name for _ in range(2)] == ["whole"] * 2
        third = self.place(core, emulator)
        assert (third.spec.node_name, third.status.phase) == (None, "Pending")
        [scheduled] = third.status.conditions
        assert (scheduled.type, scheduled.status, scheduled.reason) == ("PodScheduled", "False", "Unschedulable")
        found = core.list_namespaced_pod(NAMESPACE, field_selector="status.phase=Pending").items
        assert [one.metadata.name for one in found] == [third.metadata.name]
        found = core.list_namespaced_pod(NAMESPACE, field_selector="spec.nodeName=whole").items
        assert len(found) == 2

    def test_a_pending_pod_gets_devices_that_are_released(self, core, emulator):
        first = self.place(core, emulator, gpus=2)
        waiting = self.place(core, emulator, gpus=2)
        assert waiting.spec.node_name is None
        core.delete_namespaced_pod(first.metadata.name, NAMESPACE)
        emulator.settle()
        assert core.read_namespaced_pod(waiting.metadata.name, NAMESPACE).status.phase == "Running"

    def test_mig_instances_are_separate_devices(self, core, emulator):
        assert self.place(core, emulator, resource="nvidia.com/mig-1g.10gb").spec.node_name == "cut"
        assert self.place(core, emulator, resource="nvidia.com/mig-2g.20gb").spec.node_name is None

    @pytest.mark.parametrize(
        ("toleration", "node"),
        [
            ({"key": "dedicated", "value": "a", "effect": "NoSchedule"}, "tainted"),
            ({"key": "dedicated", "operator": "Exists"}, "tainted"),
            ({"operator": "Exists"}, "tainted"),
            ({"key": "dedicated", "value": "b"}, None),
            ({"key": "dedicated", "value": "a", "effect": "NoExecute"}, None),
        ],
    )
    def test_taints_and_tolerations(self, core, emulator, toleration, node):
        assert self.place(core, emulator, gpus=8, tolerations=[toleration]).spec.node_name == node

    @pytest.mark.parametrize(
        ("expression", "node"),
        [
            ({"key": "zone", "operator": "In", "values": ["b"]}, "tainted"),
            ({"key": "zone", "operator": "NotIn", "values": ["b"]}, "whole"),
            ({"key": "zone", "operator": "DoesNotExist"}, "whole"),
            ({"key": "size", "operator": "Gt", "values": ["4"]}, "tainted"),
            ({"key": "size", "operator": "Lt", "values": ["4"]}, None),
        ],
    )
    def test_required_affinity(self, core, emulator, expression, node):
        terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
        tolerations = [{"operator": "Exists"}]
        assert self.place(core, emulator, affinity=affinity, tolerations=tolerations).spec.node_name == node

    def test_preferred_affinity_and_node_selector(self, core, emulator):
        preference = {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["b"]}]}
        terms = [{"weight": 100, "preference": preference}]
        affinity = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": terms}}
        tolerations = [{"operator": "Exists"}]
        assert self.place(core, emulator, affinity=affinity, tolerations=tolerations).spec.node_name == "tainted"
        assert (
            self.place(core, emulator, nodeSelector={"zone": "b"}, tolerations=tolerations).spec.node_name == "tainted"
        )
        assert self.place(core, emulator, nodeSelector={"zone": "c"}, tolerations=tolerations).spec.node_name is None

    def test_a_cordoned_node_gets_no_new_pods(self, core, emulator):
        core.patch_node("whole", {"spec": {"unschedulable": True}})
        assert self.place(core, emulator).spec.node_name is None

    @pytest.fixture
    def volume(self, core, emulator, eventually):
        """Create a volume and the claim "data" of it; wait until they are bound; remove both at the end."""
        made = []

        def create(**fields):
            labels = {LABEL: "true"} | fields.pop("labels", {})
            size = {"storage": "1Gi"}
            spec = {"accessModes": ["ReadWriteOnce"], "csi": {"driver": "test.gpuwise.dev", "volumeHandle": "v"}}
            spec |= {"capacity": size, "storageClassName": "none"} | fields
            name = f"{NAMESPACE}-data"
            metadata = {"name": name, "labels": labels}
            core.create_persistent_volume({"metadata": metadata, "spec": spec})
            made.append(name)
            wanted = {"accessModes": spec["accessModes"], "resources": {"requests": size}, "volumeName": name}
            body = {"metadata": {"name": "data"}, "spec": wanted | {"storageClassName": "none"}}
            core.create_namespaced_persistent_volume_claim(NAMESPACE, body)
            emulator.settle()
            eventually(lambda: claim_of(core).status.phase == "Bound")

        yield create
        for name in made:
            core.delete_collection_namespaced_pod(NAMESPACE)
            core.delete_namespaced_persistent_volume_claim("data", NAMESPACE)
            core.delete_persistent_volume(name)
        emulator.settle()

    DATA = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}  # noqa: RUF012 - not changed

    def test_a_claim_is_bound_to_the_volume_that_it_names(self, core, emulator, volume):
        volume()
        assert claim_of(core).status.capacity == {"storage": "1Gi"}
        [found] = [one for one in core.list_persistent_volume().items if one.metadata.name == f"{NAMESPACE}-data"]
        assert (found.status.phase, found.spec.claim_ref.name) == ("Bound", "data")
        claims = [one.metadata.name for one in core.list_namespaced_persistent_volume_claim(NAMESPACE).items]
        assert "data" in claims  # on a real server a StatefulSet of an earlier test may have left one

    @pytest.mark.parametrize(("where", "on"), [("b", "tainted"), ("c", None)])
    def test_a_pod_runs_where_its_volume_can_be_attached(self, core, emulator, volume, where, on):
        term = {"matchExpressions": [{"key": "zone", "operator": "In", "values": [where]}]}
        volume(nodeAffinity={"required": {"nodeSelectorTerms": [term]}})
        tolerations = [{"operator": "Exists"}]
        found = self.place(core, emulator, volumes=[self.DATA], tolerations=tolerations)
        assert found.spec.node_name == on
        if on is None:
            [scheduled] = found.status.conditions
            assert "didn't match PersistentVolume's node affinity" in scheduled.message

    @pytest.mark.parametrize(("where", "on"), [("z1__z2", "zoned"), ("z1", None)])
    def test_the_zone_labels_of_a_volume_count(self, core, emulator, volume, where, on):
        emulator.load(node("zoned", gpus=8, labels={"topology.kubernetes.io/zone": "z2"}))
        volume(labels={"topology.kubernetes.io/zone": where})
        assert self.place(core, emulator, gpus=8, volumes=[self.DATA]).spec.node_name == on


@pytest.mark.emulator_only(reason="a real server does not let clients set uids and times, so no past can be loaded")
class TestLoadedFleet:
    """A cluster loaded with its history: running pods keep running."""

    @pytest.fixture
    def fleet(self):
        def owner(item):
            metadata = item["metadata"]
            reference = {"apiVersion": item["apiVersion"], "kind": item["kind"], "controller": True}
            return [reference | {"name": metadata["name"], "uid": metadata["uid"]}]

        objects = [node(f"n{number}") for number in range(40)]
        condition = [{"type": "Ready", "status": "True"}]
        for number in range(80):
            top = deployment(f"d{number}", replicas=4, uid=f"d-{number}")
            selector, template = top["spec"]["selector"], {"metadata": {"labels": {"app": f"d{number}"}}}
            one = {"apiVersion": "apps/v1", "kind": "ReplicaSet"}
            one["metadata"] = {"name": f"d{number}-abc", "namespace": "default", "uid": f"r-{number}"}
            one["metadata"]["ownerReferences"] = owner(top)
            one["spec"] = {
                "replicas": 4,
                "selector": selector,
                "template": template | {"spec": top["spec"]["template"]["spec"]},
            }
            objects += [top, one]
            for replica in range(4):
                labels = {"app": f"d{number}"}
                spec = top["spec"]["template"]["spec"] | {"nodeName": f"n{number // 2}"}
                status = {"phase": "Running", "startTime": "2026-01-01T00:00:00Z", "conditions": condition}
                item = pod(f"d{number}-abc-{replica}", spec=spec, labels=labels, ownerReferences=owner(one))
                objects.append(item | {"status": status})
        return objects

    def test_existing_pods_are_adopted_and_not_created_again(self, fleet, tmp_path):
        from gpuwise.cluster import KubernetesCluster
        from gpuwise.emulate import KubernetesEmulator

        start = time.monotonic()
        with KubernetesEmulator(fleet) as api:
            api.settle()
            assert time.monotonic() - start < 10
            kubeconfig = api.write_kubeconfig(tmp_path / "config")
            with KubernetesCluster.connect(kubeconfig=kubeconfig, context=None) as cluster:
                pods = cluster.list("/api/v1/pods")
                sets = cluster.list("/apis/apps/v1/replicasets")
                deployments = cluster.list("/apis/apps/v1/deployments")
        assert {one["metadata"]["name"] for one in pods} == {
            one["metadata"]["name"] for one in fleet if one["kind"] == "Pod"
        }
        assert {one["status"]["startTime"] for one in pods} == {"2026-01-01T00:00:00Z"}
        assert len(sets) == 80
        assert {one["status"]["readyReplicas"] for one in deployments} == {4}
