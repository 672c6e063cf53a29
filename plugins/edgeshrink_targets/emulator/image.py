"""The disk, kernel and keys of an emulated ARM64 machine, built from Debian packages.

Nothing of it runs while it is built: packages are unpacked, not installed, so that no instruction
is emulated and no root is needed. A machine made so has Python and an ssh server, and no more.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import filelock

from edgeshrink.api import EdgeshrinkError, Program, Progress, cache_folder, make_ours, need
from edgeshrink_targets import debian
from edgeshrink_targets.emulator.initramfs import initramfs

KEYGEN = Program(
    "ssh-keygen", "the keys of an emulated machine", "apt-get install openssh-client", asked=()
)
MKFS = Program(
    "mkfs.ext4",
    "the disk of an emulated machine",
    "apt-get install e2fsprogs",
    asked=("-V",),
    folders=("/usr/sbin", "/sbin"),
)
PACKAGES = (
    *("base-files", "base-passwd", "busybox-static", "coreutils", "dash", "findutils"),
    *("grep", "gzip", "libc-bin", "libpython3.11-stdlib", "libstdc++6", "linux-image-cloud-arm64"),
    *("mawk", "openssh-server", "openssh-sftp-server", "procps", "python3-minimal", "sed", "tar"),
    "util-linux",
)
# What only installing, not running, depends on.
WITHOUT = (
    *("adduser", "cpio", "debconf", "dpkg", "init-system-helpers", "initramfs-tools"),
    *("initramfs-tools-core", "klibc-utils", "kmod", "libdb5.3", "libfile-find-rule-perl"),
    *("libgdbm-compat4", "libgdbm6", "libklibc", "libkmod2", "libnumber-compare-perl"),
    *("libperl5.36", "libsqlite3-0", "libtext-glob-perl", "linux-base", "logsave", "perl"),
    *("perl-base", "perl-modules-5.36", "sensible-utils", "ucf", "udev", "usrmerge"),
)
DOCUMENTATION = tuple(f"usr/share/{name}/" for name in ("doc", "info", "lintian", "locale", "man"))
# In the order in which the kernel takes them; those that are built in have no file.
MODULES = (
    *("virtio", "virtio_ring", "virtio_mmio", "virtio_blk"),
    *("failover", "net_failover", "virtio_net", "virtio-rng"),
)
# Sparse: what is not used takes no room.
DISK_BYTES = 3 << 30
HOST_ALIAS = "edgeshrink-emulator"
READY = "edgeshrink: ready"
NO_DISK = "edgeshrink: the disk cannot be mounted"

FIRST_INIT = f"""#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
for module in {" ".join(MODULES)}; do
    [ ! -f /modules/$module.ko ] || $b insmod /modules/$module.ko
done
tries=0
while [ ! -e /dev/vda ] && [ $tries -lt 100 ]; do $b sleep 0.1; tries=$((tries + 1)); done
# Without delayed allocation, a file that was renamed into its place has its content, even if the
# machine is killed a moment later.
$b mount -t ext4 -o noatime,nodelalloc /dev/vda /disk &&
    exec $b switch_root /disk /sbin/edgeshrink-init
echo "{NO_DISK}"
$b poweroff -f
"""

INIT = f"""#!/bin/busybox sh
b=/bin/busybox
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
$b mkdir -p /dev/pts /dev/shm
$b mount -t devpts devpts /dev/pts
$b mount -t tmpfs -o mode=1777 tmpfs /dev/shm
$b mount -t tmpfs -o mode=755 tmpfs /run
$b mkdir -p /run/sshd
$b rm -rf /tmp
$b mkdir -m 1777 /tmp
# The disk's files belong to whoever built it.
$b chown 0:0 /
$b chown -R 0:0 /root /etc
$b hostname {HOST_ALIAS}
$b ip link set lo up
$b ip link set eth0 up
$b ip addr add 10.0.2.15/24 dev eth0
/usr/sbin/sshd && echo "{READY}"
# The first process must wait for those that lost their parents.
while :; do $b sleep 3600 & wait; done
"""

SSHD_CONFIG = """HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
MaxSessions 100
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Image:
    """What an emulated machine starts from.

    Attributes:
        folder: holds all its files, and the disks of the machines that were started.
    """

    folder: Path

    @property
    def kernel(self) -> Path:
        """The kernel, uncompressed."""
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """What the kernel starts from until it has its disk."""
        return self.folder / "initrd.gz"

    @property
    def disk(self) -> Path:
        """The file system that every machine begins with; never written to."""
        return self.folder / "root.img"

    @property
    def client_key(self) -> Path:
        """The private key that the machine lets in."""
        return self.folder / "client_key"

    @property
    def known_hosts(self) -> Path:
        """The machine's own public key, under the name `HOST_ALIAS`."""
        return self.folder / "known_hosts"

    @property
    def manifest(self) -> Path:
        """Which packages it was built from, as JSON."""
        return self.folder / "manifest.json"


def _recipe() -> str:
    """Return the digest of all that decides how an image comes out."""
    here = Path(__file__)
    digest = hashlib.sha256()
    for path in (here, here.with_name("initramfs.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def find() -> Image | None:
    """Return the image of this recipe, or None if it was not built yet."""
    image = Image(cache_folder("emulator") / _recipe())
    return image if image.folder.is_dir() else None


def build(progress: Progress) -> Image:
    """Return the image of this recipe, built if it is not there; takes about 20 seconds.

    Raises:
        EdgeshrinkError: a program is missing, or the packages cannot be fetched.
    """
    need(KEYGEN, MKFS, debian.APT, debian.DPKG)
    folder = cache_folder("emulator")
    make_ours(folder)
    with filelock.FileLock(folder / "lock"):  # whoever comes second finds it done
        if image := find():
            return image
        with tempfile.TemporaryDirectory(dir=folder, prefix="building-") as name:
            work = Path(name)
            (work / "image").mkdir()
            _build(work, Image(work / "image"), progress)
            final = Image(folder / _recipe())
            (work / "image").rename(final.folder)
    return final


def _build(work: Path, image: Image, progress: Progress) -> None:
    root, boot, debs = work / "root", work / "boot", work / "debs"
    for path in (root, boot, debs):
        path.mkdir()
    progress(0.0, "fetching Debian packages")
    archive = debian.Archive(cache_folder("debian"))
    found = archive.fetch(PACKAGES, debs, without=WITHOUT)
    progress(0.6, "unpacking")
    for name in ("bin", "lib", "sbin"):
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    (root / "bin/awk").symlink_to("mawk")
    for deb in found:
        if deb.name.startswith("linux-image-"):
            debian.extract(deb, boot, _boots)
        else:
            debian.extract(deb, root, lambda path: not path.startswith(DOCUMENTATION))
    packages = [asdict(debian.describe(deb)) for deb in found]
    image.manifest.write_text(json.dumps({"packages": packages}, indent=2) + "\n", encoding="utf-8")
    _write_boot(boot, root, image)
    _write_keys(root, image)
    _write_settings(root)
    progress(0.9, "writing the disk")
    _write_disk(root, image.disk)


def _boots(path: str) -> bool:
    """Return whether a file of the kernel's package is needed."""
    return path.startswith("boot/vmlinuz-") or (path.endswith(".ko") and Path(path).stem in MODULES)


def _write_boot(boot: Path, root: Path, image: Image) -> None:
    """Write the kernel and what it starts from."""
    kernels = list(boot.glob("boot/vmlinuz-*"))
    if len(kernels) != 1:
        raise EdgeshrinkError(f"one kernel was expected in Debian's package; it has {len(kernels)}")
    shutil.move(kernels[0], image.kernel)
    files = {
        "init": (0o755, FIRST_INIT.encode()),
        "bin/busybox": (0o755, (root / "bin/busybox").read_bytes()),
    }
    for module in sorted(boot.rglob("*.ko")):
        files[f"modules/{module.name}"] = (0o644, module.read_bytes())
    folders = ("bin", "dev", "disk", "modules", "proc", "sys")
    image.initrd.write_bytes(initramfs(folders, files))


def _write_keys(root: Path, image: Image) -> None:
    """Make the machine's key and its user's, and let each side know the other's."""
    host = root / "etc/ssh/ssh_host_ed25519_key"
    for key in (host, image.client_key):
        _run(KEYGEN.name, "-q", "-t", "ed25519", "-N", "", "-C", HOST_ALIAS, "-f", str(key))
    public = host.with_suffix(".pub").read_text(encoding="ascii")
    image.known_hosts.write_text(f"{HOST_ALIAS} {public}", encoding="ascii")
    ssh = root / "root/.ssh"
    ssh.mkdir(mode=0o700)
    shutil.copyfile(image.client_key.with_suffix(".pub"), ssh / "authorized_keys")


def _write_settings(root: Path) -> None:
    """Write what the packages' own scripts would have written."""
    masters = root / "usr/share/base-passwd"
    # Every command starts root's shell: the smallest one starts soonest.
    users = (masters / "passwd.master").read_text(encoding="ascii").replace("/bin/bash", "/bin/sh")
    files: Mapping[str, tuple[int, str]] = {
        "etc/passwd": (0o644, f"{users}sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"),
        "etc/group": (0o644, (masters / "group.master").read_text(encoding="ascii")),
        "etc/hostname": (0o644, f"{HOST_ALIAS}\n"),
        "etc/hosts": (0o644, f"127.0.0.1 localhost {HOST_ALIAS}\n"),
        "etc/ssh/sshd_config": (0o644, SSHD_CONFIG),
        "sbin/edgeshrink-init": (0o755, INIT),
    }
    for path, (mode, text) in files.items():
        (root / path).write_text(text, encoding="ascii")
        (root / path).chmod(mode)


def _write_disk(root: Path, disk: Path) -> None:
    with disk.open("wb") as stream:
        stream.truncate(DISK_BYTES)
    _run(MKFS.path(), "-q", "-F", "-J", "size=8", "-m", "0", "-d", str(root), str(disk))


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise EdgeshrinkError(f"{argv[0]} failed: {last}")
