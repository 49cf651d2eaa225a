from pathlib import Path

import pytest
from tests.given_cases import given_case

from gpuwise.collect.attribution.allocation import Container
from gpuwise.collect.attribution.containers import ContainersByCgroup

ID = "3f" * 32
OTHER = "7a" * 32
SANDBOX = "00" * 32
POD = "kubepods-burstable-pod0b1c_7f.slice"
SERVER = Container("serving", "llm-7d9f-x2", "server")


@pytest.fixture
def owner_of(tmp_path: Path) -> ContainersByCgroup:
    links = tmp_path / "containers"
    links.mkdir()
    (links / f"llm-7d9f-x2_serving_server-{ID}.log").symlink_to("/var/log/pods/gone")
    (links / "notes.txt").touch()
    return ContainersByCgroup(tmp_path / "proc", links)


def run(owner_of: ContainersByCgroup, pid: int, cgroup: str) -> None:
    folder = owner_of.proc / str(pid)
    folder.mkdir(parents=True)
    (folder / "cgroup").write_text(cgroup)


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/kubepods.slice/kubepods-burstable.slice/{POD}/cri-containerd-{ID}.scope\n",  # v2, systemd
        f"0::/kubepods/burstable/pod0b1c-7f/{ID}\n",  # v2, cgroupfs
        f"0::/kubepods.slice/{POD}/crio-{ID}.scope/container\n",  # CRI-O, a cgroup within
        f"12:devices:/kubepods/pod0b1c/{ID}\n1:name=systemd:/kubepods/pod0b1c/{ID}\n",  # v1
        f"0::/kubepods.slice/{POD}/docker-{ID}.scope\n",
        f"0::/system.slice/containerd-{SANDBOX}/kubepods/pod0b1c/{ID}\n",  # nested: the innermost
        f"0::/system.slice/containerd.service/{POD}:cri-containerd:{ID}\n",  # a systemd slice on cgroupfs
        f"0::/kubepods/pod0b1c/{ID}/docker/{OTHER}\n",  # Docker in the container
        f"0::/kubepods.slice/{POD}/crio-{ID}.scope/container/system.slice/docker-{OTHER}.scope/init.scope\n",
        f"0::/kubepods.slice/{POD}/cri-containerd-{ID}.scope/machine.slice/libpod-{OTHER}.scope/container\n",  # Podman
        f"0::/kubepods/pod0b1c/{ID}/docker/{SANDBOX}/kubelet/kubepods/podffff/{OTHER}\n",  # kind: two levels
        f"0::/../../pod0b1c/{ID}/buildkit/{OTHER}\n",  # seen from another cgroup namespace
    ],
)
def test_the_cgroup_and_the_log_link_identify_the_container(owner_of: ContainersByCgroup, cgroup: str):
    run(owner_of, 77, cgroup)
    assert owner_of(77) == SERVER


@pytest.mark.parametrize("cgroup", ["0::/system.slice/sshd.service\n", "0::/\n", "", f"0::/kubepods/pod1/{OTHER}\n"])
def test_a_process_of_the_host_or_of_an_unknown_container_has_no_owner(owner_of: ContainersByCgroup, cgroup: str):
    run(owner_of, 77, cgroup)
    assert owner_of(77) is None


def test_a_process_that_has_ended_has_no_owner(owner_of: ContainersByCgroup):
    assert owner_of(78) is None


def test_a_container_started_later_is_found(owner_of: ContainersByCgroup):
    run(owner_of, 79, f"0::/kubepods/pod2/{OTHER}\n")
    assert owner_of(79) is None
    (owner_of.links / f"notebook-0_research_main-{OTHER}.log").touch()
    assert owner_of(79) == Container("research", "notebook-0", "main")


@pytest.mark.parametrize("version", ["cgroup_v1", "cgroup_v2"])
def test_incident_dind_87_the_case_nested_container_belongs_to_the_pod_around_it(tmp_path: Path, version: str):
    cgroup = (given_case("reading", "nested-container") / version).read_text()
    links = tmp_path / "containers"
    links.mkdir()
    (links / f"builder-0_ci_main-{'a' * 64}.log").touch()
    owner_of = ContainersByCgroup(tmp_path / "proc", links)
    run(owner_of, 77, cgroup)
    assert owner_of(77) == Container("ci", "builder-0", "main")


def child(owner_of: ContainersByCgroup, pid: int, parent: int, cgroup: str) -> None:
    run(owner_of, pid, cgroup)
    (owner_of.proc / str(pid) / "status").write_text(f"Name:\tpython\nPid:\t{pid}\nPPid:\t{parent}\nThreads:\t1\n")


def test_incident_envbox_168_an_inner_container_beside_the_pods_cgroup_is_its_ancestors(owner_of: ContainersByCgroup):
    pod = f"0::/kubepods/pod0b1c/{ID}\n"
    child(owner_of, 70, 1, "0::/system.slice/containerd.service\n")
    child(owner_of, 71, 70, pod)  # dockerd
    child(owner_of, 72, 71, pod)  # its shim
    child(owner_of, 73, 72, f"0::/docker/{OTHER}\n")
    child(owner_of, 74, 73, f"0::/docker/{OTHER}/init.scope\n")
    assert owner_of(74) == owner_of(73) == SERVER


def test_a_container_of_the_hosts_own_docker_has_no_owner(owner_of: ContainersByCgroup):
    child(owner_of, 1, 0, "0::/init.scope\n")
    child(owner_of, 70, 1, "0::/system.slice/docker.service\n")
    child(owner_of, 73, 70, f"0::/docker/{OTHER}\n")
    assert owner_of(73) is None


@pytest.mark.parametrize("parent", [76, 77, 78])
def test_a_chain_of_parents_that_does_not_end_in_a_pod_has_no_owner(owner_of: ContainersByCgroup, parent: int):
    """A parent that ended, and process numbers that were reused while they were read."""
    child(owner_of, 77, parent, f"0::/docker/{OTHER}\n")
    child(owner_of, 78, 77, f"0::/docker/{OTHER}\n")
    assert owner_of(77) is None


def test_a_container_within_a_container_that_is_the_kubelets_own_is_the_innermost(owner_of: ContainersByCgroup):
    """A node that is itself a container: the inner id counts once it is listed, although the outer one is known."""
    run(owner_of, 80, f"0::/kubepods/pod0b1c/{ID}/kubelet/kubepods/pod2/{OTHER}\n")
    assert owner_of(80) == SERVER
    (owner_of.links / f"notebook-0_research_main-{OTHER}.log").touch()
    assert owner_of(80) == Container("research", "notebook-0", "main")


def test_without_the_kubelets_links_owners_are_unknown(tmp_path: Path):
    owner_of = ContainersByCgroup(tmp_path / "proc", tmp_path / "nowhere")
    run(owner_of, 77, f"0::/kubepods/pod0b1c/{ID}\n")
    assert owner_of(77) is None
