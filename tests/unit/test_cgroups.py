"""Whose a cgroup is, told from its path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.cgroups import DEMO, Cgroup2MissingError, Owner, mount_point, owner, walk

ID = "3f4e8cb1a9d2f0e7b65c4d3a2918070605f4e3d2c1b0a9f8e7d6c5b4a3928170"
OTHER = "b" * 64
POD = "pod9d0a7f3e-4a7c-4f53-9d39-1f6f4b2b8f11"
POD_SLICE = f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-{POD.replace('-', '_')}.slice"
USER = "/user.slice/user-1000.slice/user@1000.service"

CONTAINERS = {
    "Docker, cgroupfs driver": (f"/docker/{ID}", "docker", f"/docker/{ID}"),
    "Docker, systemd driver": (f"/system.slice/docker-{ID}.scope", "docker", f"/system.slice/docker-{ID}.scope"),
    "Docker, a systemd inside": (
        f"/system.slice/docker-{ID}.scope/system.slice/cron.service",
        "docker",
        f"/system.slice/docker-{ID}.scope",
    ),
    "Docker, rootless": (f"{USER}/user.slice/docker-{ID}.scope", "docker", f"{USER}/user.slice/docker-{ID}.scope"),
    "Docker, --cgroup-parent with cgroupfs": (f"/tenants/alice/{ID}", "", f"/tenants/alice/{ID}"),
    "Docker, --cgroup-parent with systemd": (
        f"/alice.slice/docker-{ID}.scope",
        "docker",
        f"/alice.slice/docker-{ID}.scope",
    ),
    "containerd CRI, systemd driver": (
        f"{POD_SLICE}/cri-containerd-{ID}.scope",
        "containerd",
        f"{POD_SLICE}/cri-containerd-{ID}.scope",
    ),
    "containerd CRI, cgroupfs driver": (f"/kubepods/burstable/{POD}/{ID}", "", f"/kubepods/burstable/{POD}/{ID}"),
    "containerd CRI, the two drivers mixed": (
        f"/system.slice/containerd.service/kubepods-besteffort-{POD}.slice:cri-containerd:{ID}",
        "containerd",
        f"/system.slice/containerd.service/kubepods-besteffort-{POD}.slice:cri-containerd:{ID}",
    ),
    "cri-dockerd": (f"{POD_SLICE}/docker-{ID}.scope", "docker", f"{POD_SLICE}/docker-{ID}.scope"),
    "nerdctl": (f"/system.slice/nerdctl-{ID}.scope", "containerd", f"/system.slice/nerdctl-{ID}.scope"),
    "nerdctl, cgroupfs driver": (f"/default/{ID}", "", f"/default/{ID}"),
    "CRI-O, systemd driver": (f"{POD_SLICE}/crio-{ID}.scope", "cri-o", f"{POD_SLICE}/crio-{ID}.scope"),
    "CRI-O, the container's own subgroup": (
        f"{POD_SLICE}/crio-{ID}.scope/container",
        "cri-o",
        f"{POD_SLICE}/crio-{ID}.scope",
    ),
    "CRI-O, cgroupfs driver": (
        f"/kubepods/besteffort/{POD}/crio-{ID}",
        "cri-o",
        f"/kubepods/besteffort/{POD}/crio-{ID}",
    ),
    "Podman": (f"/machine.slice/libpod-{ID}.scope/container", "podman", f"/machine.slice/libpod-{ID}.scope"),
    "Podman, rootless": (
        f"{USER}/user.slice/libpod-{ID}.scope/container",
        "podman",
        f"{USER}/user.slice/libpod-{ID}.scope",
    ),
    "Podman, cgroupfs driver": (f"/libpod_parent/libpod-{ID}", "podman", f"/libpod_parent/libpod-{ID}"),
    "Podman, in a pod": (
        f"/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope",
        "podman",
        f"/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope",
    ),
    "Podman, in a pod, cgroupfs driver": (
        f"/libpod_parent/{OTHER}/libpod-{ID}",
        "podman",
        f"/libpod_parent/{OTHER}/libpod-{ID}",
    ),
    "kind: Kubernetes in Docker": (
        f"/docker/{ID}/kubelet.slice/kubelet-kubepods.slice/cri-containerd-{OTHER}.scope",
        "docker",
        f"/docker/{ID}",
    ),
    "Docker in Docker": (f"/docker/{ID}/docker/{OTHER}", "docker", f"/docker/{ID}"),
}

HOST = {
    "the root": "/",
    "init": "/init.scope",
    "a service": "/system.slice/ssh.service",
    "the runtime itself": "/system.slice/docker.service",
    "containerd and its shims": "/system.slice/containerd.service",
    "a login": "/user.slice/user-1000.slice/session-3.scope",
    "a user's service": f"{USER}/app.slice/app-org.gnome.Terminal.slice/vte-spawn-8c3b1e55-7a8e-4a0e.scope",
    "a transient unit": "/system.slice/run-r3f4e8cb1a9d2f0e7b65c4d3a29180706.scope",
    "a virtual machine": "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope",
    "Docker's parent": "/docker",
    "Podman's monitor": f"/machine.slice/libpod-conmon-{ID}.scope",
    "Podman's monitor, rootless": f"{USER}/user.slice/libpod-conmon-{ID}.scope",
    "Podman's monitor, cgroupfs driver": "/libpod_parent/conmon",
    "a pod of Podman's": f"/machine.slice/machine-libpod_pod_{ID}.slice",
    "a pod of Podman's, cgroupfs driver": f"/libpod_parent/{ID}",
    "CRI-O's monitor": f"{POD_SLICE}/crio-conmon-{ID}.scope",
    "a pod of Kubernetes": POD_SLICE,
    "a pod of Kubernetes, cgroupfs driver": f"/kubepods/besteffort/{POD}",
    "a static pod": "/kubepods/burstable/pod2d3f1a0b9c8e7d6f5a4b3c2d1e0f9a8b",
    "LXC's monitor": "/lxc.monitor.web",
    "an id that is too short": f"/docker/{ID[:-1]}",
    "an id that is too long": f"/docker/{ID}0",
    "an id in capitals": f"/docker/{ID.upper()}",
    "a name that only ends in an id": f"/system.slice/backup-{ID}.scope",
    "a name that only begins with one": f"/docker/{ID}.bak",
}


@pytest.mark.parametrize(("path", "runtime", "topmost"), CONTAINERS.values(), ids=CONTAINERS)
def test_containers_are_known_by_their_paths(path: str, runtime: str, topmost: str) -> None:
    """Every runtime's layout gives the container's id, its runtime where the path tells, and its topmost cgroup."""
    assert owner(path) == Owner(ID, runtime, "", topmost)


@pytest.mark.parametrize(("path", "runtime", "topmost"), CONTAINERS.values(), ids=CONTAINERS)
def test_what_a_container_makes_below_itself_is_its_own(path: str, runtime: str, topmost: str) -> None:
    """A container can't pass for another, nor for the host, by the names it gives its cgroups."""
    for nested, *_ in CONTAINERS.values():
        assert owner(path + nested.replace(ID, OTHER)) == Owner(ID, runtime, "", topmost)
    for nested in HOST.values():
        assert owner(path + nested) == Owner(ID, runtime, "", topmost)


@pytest.mark.parametrize("path", HOST.values(), ids=HOST)
def test_the_hosts_cgroups_are_no_containers(path: str) -> None:
    """Services, logins, pods and the runtimes' own processes belong to the host."""
    assert owner(path) is None


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/lxc.payload.web", Owner("web", "lxc", "web", "/lxc.payload.web")),
        ("/lxc.payload.web/system.slice/cron.service", Owner("web", "lxc", "web", "/lxc.payload.web")),
        ("/lxc.payload.web/lxc.payload.inner", Owner("web", "lxc", "web", "/lxc.payload.web")),
        (f"/lxc.payload.web/docker/{ID}", Owner("web", "lxc", "web", "/lxc.payload.web")),
        (f"/{DEMO}/{ID}", Owner(ID, DEMO, DEMO, f"/{DEMO}/{ID}")),
    ],
)
def test_some_paths_tell_the_name(path: str, found: Owner) -> None:
    """LXC and the demonstration's container name themselves."""
    assert owner(path) == found


@given(st.text())
def test_any_path_has_an_owner_or_none(path: str) -> None:
    """No name of a cgroup raises, and a topmost cgroup is where its path begins."""
    found = owner(path)
    assert found is None or path.startswith(found.path)


MOUNTS = (
    "22 28 0:20 / /proc rw,nosuid shared:12 - proc proc rw\n"
    "33 22 0:28 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n"
    "35 33 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
)


def mountinfo(tmp_path: Path, lines: bytes | str) -> Path:
    """A mountinfo file."""
    file = tmp_path / "mountinfo"
    file.write_bytes(lines if isinstance(lines, bytes) else lines.encode())
    return file


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("35 24 0:30 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n", "/sys/fs/cgroup"),
        ("35 24 0:30 / /sys/fs/cgroup/unified rw shared:4 master:1 - cgroup2 cgroup rw", "/sys/fs/cgroup/unified"),
        (r"35 24 0:30 / /mnt/my\040cgroups\011\134 rw - cgroup2 none rw" + "\n", "/mnt/my cgroups\t\\"),
        ("35 24 0:30 / /mnt/\u2028x rw - cgroup2 none rw\n", "/mnt/\u2028x"),
    ],
)
def test_cgroup2_is_found_where_it_is_mounted(tmp_path: Path, line: str, expected: str) -> None:
    """On its own, beside version 1, and at a place whose name is escaped."""
    assert mount_point(mountinfo(tmp_path, MOUNTS + line)) == Path(expected)
    assert mount_point(mountinfo(tmp_path, line + ("" if line.endswith("\n") else "\n") + MOUNTS)) == Path(expected)


def test_names_that_are_not_utf8_stand_in_nobodys_way(tmp_path: Path) -> None:
    """Another mount may have any name."""
    strange = b"40 24 0:31 / /media/\xff\xfe rw - vfat /dev/sdb1 rw\n"
    lines = strange + MOUNTS.encode() + b"35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    assert mount_point(mountinfo(tmp_path, lines)) == Path("/sys/fs/cgroup")


@pytest.mark.parametrize("lines", ["", MOUNTS, "40 24 0:31 / /mnt/cgroup2 rw - ext4 cgroup2 rw\n"])
def test_a_host_without_cgroup2_is_told_what_to_do(tmp_path: Path, lines: str) -> None:
    """Version 1 alone is refused with an explanation."""
    with pytest.raises(Cgroup2MissingError, match=r"systemd\.unified_cgroup_hierarchy=1"):
        mount_point(mountinfo(tmp_path, lines))


def test_every_cgroup_is_walked(tmp_path: Path) -> None:
    """Each folder gives its inode and its path below the root; files are no cgroups."""
    for path in ("docker/abc", "system.slice/ssh.service"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "cgroup.procs").touch()
    expected = {"/": tmp_path}
    expected |= {f"/{part}": tmp_path / part for part in ("docker", "docker/abc", "system.slice")}
    expected["/system.slice/ssh.service"] = tmp_path / "system.slice/ssh.service"
    assert dict(walk(tmp_path)) == {path.stat().st_ino: name for name, path in expected.items()}


def test_a_cgroup_that_goes_meanwhile_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cgroups come and go while they are walked."""
    (tmp_path / "gone").mkdir()
    (tmp_path / "stays").mkdir()
    real = os.stat

    def stat(path: str) -> os.stat_result:
        if path.endswith("gone"):
            raise FileNotFoundError(path)
        return real(path)

    monkeypatch.setattr(os, "stat", stat)
    assert sorted(name for _, name in walk(tmp_path)) == ["/", "/stays"]
