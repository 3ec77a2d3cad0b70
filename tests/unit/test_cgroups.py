"""Whose a cgroup is, told from its path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shipper.cgroups import DEMO, Cgroup2MissingError, mount_point, owner, walk

ID = "3f4e8cb1a9d2f0e7b65c4d3a2918070605f4e3d2c1b0a9f8e7d6c5b4a3928170"
OTHER = "b" * 64
POD = "pod9d0a7f3e-4a7c-4f53-9d39-1f6f4b2b8f11"
POD_SLICE = f"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-{POD.replace('-', '_')}.slice"
USER = "/user.slice/user-1000.slice/user@1000.service"

BUILD = "5cf82fwiumld3vcs5d5l5pzyv"
UID = POD.removeprefix("pod")
STATIC = "2d3f1a0b9c8e7d6f5a4b3c2d1e0f9a8b"
MACHINE = "/machine.slice/machine-web.scope"
LIBVIRT = "/machine.slice/machine-lxc\\x2d12345\\x2dweb.scope"

# Path as in /proc/<pid>/cgroup; key; how much of the path is the container's topmost cgroup, None: all; uid of the pod.
# The last part is what may stand below that: the runtime's own, or a system's inside.
CONTAINERS: dict[str, tuple[str, str, str | None, str]] = {
    "Docker, cgroupfs driver": (f"/docker/{ID}", f"docker/{ID}", None, ""),
    "Docker, systemd driver": (f"/system.slice/docker-{ID}.scope", f"docker/{ID}", None, ""),
    "Docker, a systemd inside": (
        f"/system.slice/docker-{ID}.scope/system.slice/cron.service",
        f"docker/{ID}",
        f"/system.slice/docker-{ID}.scope",
        "",
    ),
    "Docker, rootless": (f"{USER}/user.slice/docker-{ID}.scope", f"docker/1000/{ID}", None, ""),
    "Docker, --cgroup-parent with cgroupfs": (f"/tenants/alice/{ID}", ID, None, ""),
    "Docker, --cgroup-parent with systemd": (f"/alice.slice/docker-{ID}.scope", f"docker/{ID}", None, ""),
    "Docker Buildx's builder": (f"/docker/buildx/{ID}", f"docker/{ID}", None, ""),
    "BuildKit in Docker, cgroupfs driver": (f"/docker/buildkit/{BUILD}", f"buildkit/{BUILD}", None, ""),
    "BuildKit in Docker, systemd driver": (f"/system.slice/docker-{BUILD}.scope", f"buildkit/{BUILD}", None, ""),
    "BuildKit in Docker, --cgroup-parent": (f"/tenants/buildkit/{BUILD}", f"buildkit/{BUILD}", None, ""),
    "BuildKit alone": (f"/buildkit/{BUILD}", f"buildkit/{BUILD}", None, ""),
    "BuildKit alone, systemd": (f"/system.slice/buildkit-{BUILD}.scope", f"buildkit/{BUILD}", None, ""),
    "a Buildx builder's build": (
        f"/docker/buildx/{ID}/buildkit/{BUILD}",
        f"docker/{ID}",
        f"/docker/buildx/{ID}",
        "",
    ),
    "containerd CRI, systemd driver": (
        f"{POD_SLICE}/cri-containerd-{ID}.scope",
        f"containerd/k8s.io/{ID}",
        None,
        UID,
    ),
    "containerd CRI, guaranteed": (
        f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice/cri-containerd-{ID}.scope",
        f"containerd/k8s.io/{ID}",
        None,
        UID,
    ),
    "containerd CRI, cgroupfs driver": (f"/kubepods/burstable/{POD}/{ID}", ID, None, UID),
    "containerd CRI, cgroupfs driver, guaranteed": (f"/kubepods/{POD}/{ID}", ID, None, UID),
    "containerd CRI, a static pod": (f"/kubepods/burstable/pod{STATIC}/{ID}", ID, None, STATIC),
    "containerd CRI, the two drivers mixed": (
        f"/system.slice/containerd.service/kubepods-besteffort-{POD.replace('-', '_')}.slice:cri-containerd:{ID}",
        f"containerd/k8s.io/{ID}",
        None,
        UID,
    ),
    "kind, from inside its node": (
        (
            f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-"
            f"{POD.replace('-', '_')}.slice/cri-containerd-{ID}.scope"
        ),
        f"containerd/k8s.io/{ID}",
        None,
        UID,
    ),
    "cri-dockerd": (f"{POD_SLICE}/docker-{ID}.scope", f"docker/{ID}", None, UID),
    "nerdctl": (f"/system.slice/nerdctl-{ID}.scope", f"containerd/{ID}", None, ""),
    "nerdctl, rootless": (f"{USER}/user.slice/nerdctl-{ID}.scope", f"containerd/1000/{ID}", None, ""),
    "nerdctl, cgroupfs driver": (f"/default/{ID}", ID, None, ""),
    "Amazon ECS": (f"/ecs/ecs-agent-task/{ID}", ID, None, ""),
    "CRI-O, systemd driver": (f"{POD_SLICE}/crio-{ID}.scope", f"cri-o/{ID}", None, UID),
    "CRI-O, the container's own subgroup": (
        f"{POD_SLICE}/crio-{ID}.scope/container",
        f"cri-o/{ID}",
        f"{POD_SLICE}/crio-{ID}.scope",
        UID,
    ),
    "CRI-O, cgroupfs driver": (f"/kubepods/besteffort/{POD}/crio-{ID}", f"cri-o/{ID}", None, UID),
    "Podman": (
        f"/machine.slice/libpod-{ID}.scope/container",
        f"podman/{ID}",
        f"/machine.slice/libpod-{ID}.scope",
        "",
    ),
    "Podman, rootless": (
        f"{USER}/user.slice/libpod-{ID}.scope/container",
        f"podman/1000/{ID}",
        f"{USER}/user.slice/libpod-{ID}.scope",
        "",
    ),
    "Podman, cgroupfs driver": (f"/libpod_parent/libpod-{ID}", f"podman/{ID}", None, ""),
    "Podman, a unit's (--cgroups=split)": (
        f"/system.slice/web.service/libpod-payload-{ID}",
        f"podman/{ID}",
        None,
        "",
    ),
    "Podman, in a pod": (
        f"/machine.slice/machine-libpod_pod_{OTHER}.slice/libpod-{ID}.scope",
        f"podman/{ID}",
        None,
        "",
    ),
    "Podman, in a pod, rootless": (
        f"{USER}/user.slice/user-libpod_pod_{OTHER}.slice/libpod-{ID}.scope/container",
        f"podman/1000/{ID}",
        f"{USER}/user.slice/user-libpod_pod_{OTHER}.slice/libpod-{ID}.scope",
        "",
    ),
    "Podman, in a pod, cgroupfs driver": (f"/libpod_parent/{OTHER}/libpod-{ID}", f"podman/{ID}", None, ""),
    "kind: Kubernetes in Docker": (
        (
            f"/docker/{ID}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-{POD.replace('-', '_')}.slice"
            f"/cri-containerd-{OTHER}.scope"
        ),
        f"docker/{ID}",
        f"/docker/{ID}",
        "",
    ),
    "Docker in Docker": (f"/docker/{ID}/docker/{OTHER}", f"docker/{ID}", f"/docker/{ID}", ""),
    "LXC": ("/lxc.payload.web", "lxc/web", None, ""),
    "LXC, a systemd inside": ("/lxc.payload.web/init.scope", "lxc/web", "/lxc.payload.web", ""),
    "LXC 3": ("/lxc/web", "lxc/web", None, ""),
    "LXC 3.2": ("/lxc.payload/web", "lxc/web", None, ""),
    "Proxmox": ("/lxc/101/ns/init.scope", "lxc/101", "/lxc/101", ""),
    "LXC, a user's": (
        f"{USER}/app.slice/run-r2f86bd3279fe4aeb88c99b64fe63a2c5.scope/lxc.payload.web",
        "lxc/1000/web",
        None,
        "",
    ),
    "Incus and LXD": ("/lxc.payload.shop_web/system.slice", "lxc/shop_web", "/lxc.payload.shop_web", ""),
    "nspawn, a unit": (
        "/machine.slice/systemd-nspawn@web.service/payload/init.scope",
        "nspawn/web",
        "/machine.slice/systemd-nspawn@web.service/payload",
        "",
    ),
    "nspawn, a command": (f"{MACHINE}/payload", "nspawn/web", MACHINE, ""),
    "nspawn, a name that systemd escapes": (
        "/machine.slice/machine-my\\x2dweb\\xc3\\xa9.scope/payload/system.slice",
        "nspawn/my-webé",
        "/machine.slice/machine-my\\x2dweb\\xc3\\xa9.scope",
        "",
    ),
    "libvirt's LXC": (LIBVIRT, "libvirt-lxc/web", None, ""),
    "the demonstration's": (f"/{DEMO}/{ID}", f"{DEMO}/{ID}", None, ""),
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
    "LXC's monitor, 3.2": "/lxc.monitor/web",
    "LXC's, of those that ended": "/lxc.pivot",
    "nspawn's unit": "/machine.slice/systemd-nspawn@web.service",
    "nspawn itself": "/machine.slice/systemd-nspawn@web.service/supervisor",
    "nspawn itself, a command": f"{MACHINE}/supervisor",
    "BuildKit's parent": "/docker/buildkit",
    "BuildKit itself": "/system.slice/buildkit.service",
    "CRI-O's monitor, cgroupfs driver": f"/kubepods/besteffort/{POD}/crio-conmon-{ID}",
    "Podman's monitor, a unit's": "/system.slice/web.service/supervisor",
    "a scope of Docker's that is no container": "/system.slice/docker-desktop.scope",
    "an id and a line break": f"/docker/{ID}\n",
    "an id that is too short": f"/docker/{ID[:-1]}",
    "an id that is too long": f"/docker/{ID}0",
    "an id in capitals": f"/docker/{ID.upper()}",
    "a name that only ends in an id": f"/system.slice/backup-{ID}.scope",
    "a name that only begins with one": f"/docker/{ID}.bak",
}


IDS = pytest.mark.parametrize(("path", "key", "topmost", "pod"), CONTAINERS.values(), ids=CONTAINERS)


@IDS
def test_containers_are_known_by_their_paths(path: str, key: str, topmost: str | None, pod: str) -> None:
    """Every runtime's layout gives the container's key, its topmost cgroup, and its pod's uid where it has one."""
    found = owner(path)
    assert found is not None
    assert (found.key, found.path, found.pod_id) == (key, topmost or path, pod)


@IDS
def test_what_a_container_makes_below_itself_is_its_own(path: str, key: str, topmost: str | None, pod: str) -> None:
    """A container can't pass for another, for another pod's, nor for the host, by the names it gives its cgroups."""
    inside = path if key.startswith("nspawn/") else topmost or path  # beside nspawn's payload is nspawn
    names = [nested for nested, *_ in CONTAINERS.values()] + [*HOST.values()]
    for nested in [*(name.replace(ID, OTHER) for name in names), "/lxc.monitor", "/supervisor", "/x\n", "/\udcff"]:
        found = owner(inside + nested)
        assert found is not None
        assert (found.key, found.path, found.pod_id) == (key, topmost or path, pod)


@pytest.mark.parametrize("path", HOST.values(), ids=HOST)
def test_the_hosts_cgroups_are_no_containers(path: str) -> None:
    """Services, logins, pods, virtual machines and the runtimes' own processes belong to the host."""
    assert owner(path) is None


@pytest.mark.parametrize(
    ("path", "name"),
    [("/lxc.payload.web", "web"), (f"{MACHINE}/payload", "web"), (f"/{DEMO}/{ID}", DEMO), (f"/docker/{ID}", "")],
)
def test_some_paths_tell_the_name(path: str, name: str) -> None:
    """LXC, nspawn and the demonstration's container name themselves."""
    found = owner(path)
    assert found is not None
    assert found.name == name


PIECES = st.sampled_from(
    ["/", "docker", "buildkit", "lxc", "lxc.payload.", "machine-", ".scope", ".slice", ":cri-containerd:", "libpod-",
     "libpod_parent", "kubepods", "-pod", "payload", "supervisor", "systemd-nspawn@", "\\x2d", "\\xff", ID, BUILD, UID]
)  # fmt: skip


@given(st.text() | st.lists(PIECES | st.text(max_size=5)).map("".join))
def test_any_path_has_an_owner_or_none(path: str) -> None:
    """No name of a cgroup raises, and a topmost cgroup is where its path begins."""
    found = owner(path)
    assert found is None or path.startswith(found.path)


@pytest.mark.parametrize(
    "piece", ["/", "/a", "/lxc", "/machine-", "/x.slice:", "/libpod_parent/", "-pod", f"/{ID}0", ID]
)
def test_no_path_is_slow(piece: str) -> None:
    """What it costs grows with the length, whatever is repeated: by its square, this would not end today."""
    found = owner("/" + piece * (1_000_000 // len(piece)) + "!")
    assert found is None or len(found.path) < 1000


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
    """Cgroups come and go while they are walked: what was seen of them counts."""
    for path in ("gone/inside", "stays/inside"):
        (tmp_path / path).mkdir(parents=True)
    real = os.scandir

    def scandir(folder: int) -> Any:
        if os.readlink(f"/proc/self/fd/{folder}").endswith("gone"):
            raise FileNotFoundError(folder)
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    assert sorted(name for _, name in walk(tmp_path)) == ["/", "/gone", "/stays", "/stays/inside"]
    assert list(walk(tmp_path / "none")) == []


def test_nothing_hides_by_depth(tmp_path: Path) -> None:
    """However deep a container nests its cgroups, all are found: one that is not would count as removed."""
    numbers, folder = set(), os.open(tmp_path, os.O_RDONLY)
    for _ in range(40):
        os.mkdir("x" * 250, dir_fd=folder)
        inner = os.open("x" * 250, os.O_RDONLY, dir_fd=folder)
        numbers.add(os.fstat(inner).st_ino)
        os.close(folder)
        folder = inner
    os.close(folder)
    (tmp_path / "other").mkdir()
    walked = dict(walk(tmp_path))
    assert walked.keys() >= numbers
    assert "/other" in walked.values()
    assert max(map(len, walked.values())) == 4096


def test_what_can_not_be_looked_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks knows that cgroups may be missing; the others are found."""
    for path in ("closed/inside", "open/inside"):
        (tmp_path / path).mkdir(parents=True)
    real = os.open

    def refuse(path: str, *args: Any, **options: Any) -> int:
        if path == "closed":
            raise PermissionError(path)
        return real(path, *args, **options)

    monkeypatch.setattr(os, "open", refuse)
    unread: list[str] = []
    assert sorted(path for _, path in walk(tmp_path, unread)) == ["/", "/closed", "/open", "/open/inside"]
    assert unread == ["/closed"]
