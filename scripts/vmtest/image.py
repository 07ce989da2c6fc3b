"""Makes what a virtual machine boots: an initramfs for each kernel, a disk for all of them."""

import lzma
import os
import pathlib
import re
import shutil
import stat

from apt import Suite, Trouble, run

HERE = pathlib.Path(__file__).parent
# What the first program needs to mount the disk, then what the tests need. The order is free.
MODULES = ["virtio_pci", "virtio_blk", "ext4", "crc32c_generic", "overlay", "fuse", "virtio_mmio"]
# Some kernels have no such module because others do its work.
MAY_LACK = {"crc32c_generic", "virtio_mmio"}
# Of the suite that the tests are built for: the machine's own.
PACKAGES = "busybox-static dash python3 nginx-light libelf1 zlib1g libgcc-s1".split()
DISK_MIB = 1024


def kernel(base, suite, pattern):
    """Fetches a kernel, unless it is there. Returns its directory and its release."""
    for old in sorted(base.glob("*/complete")):
        return old.parent, old.read_text(encoding="utf-8")
    package, parts = suite.newest(pattern)
    release = package.removeprefix("linux-image-")
    into = base / package
    shutil.rmtree(into, ignore_errors=True)
    suite.fetch(parts, into)
    if not vmlinuz(into).exists():
        raise Trouble(f"{package} brought no kernel")
    (into / "complete").write_text(release, encoding="utf-8")
    return into, release


def vmlinuz(kernel_dir):
    """The kernel's own file."""
    found = sorted(kernel_dir.glob("boot/vmlinu[xz]-*")) + sorted(
        kernel_dir.glob("usr/lib/modules/*/vmlinuz")
    )
    return found[0] if found else kernel_dir / "boot/vmlinuz"


def config(kernel_dir):
    """The kernel's configuration, as it says it itself."""
    found = sorted(kernel_dir.glob("boot/config-*")) + sorted(
        kernel_dir.glob("usr/lib/modules/*/config")
    )
    return found[0].read_text(encoding="utf-8") if found else ""


def modules(kernel_dir):
    """The modules to load, those that others need first, as pairs of name and content."""
    files = {}
    for path in kernel_dir.glob("**/*.ko*"):
        files[path.name.split(".")[0].replace("-", "_")] = path
    builtin = "".join(p.read_text() for p in kernel_dir.glob("**/modules.builtin"))
    order, contents = [], {}

    def add(name):
        if name in contents:
            return
        path = files.get(name)
        if not path:
            base = re.search(rf"/{name.replace('_', '[-_]')}\.ko$", builtin, re.MULTILINE)
            if not base and name not in MAY_LACK:
                raise Trouble(f"{kernel_dir.name} has no module {name}")
            return
        data = path.read_bytes()
        if path.suffix == ".xz":
            data = lzma.decompress(data)
        elif path.suffix != ".ko":
            raise Trouble(f"{path}: compressed in a way that is not known here")
        contents[name] = data
        needs = re.search(rb"(?:^|\0)depends=([^\0]*)\0", data)
        for need in needs[1].decode().split(",") if needs and needs[1] else []:
            add(need.replace("-", "_"))
        order.append((name, data))

    for name in MODULES:
        add(name)
    return order


def initramfs(kernel_dir, root, into):
    """The archive that a kernel starts from: a shell, modules, and the first program."""
    entries = [
        ("dev", 0o40755, b"", None),
        ("dev/console", 0o20600, b"", (5, 1)),
        ("bin", 0o40755, b"", None),
        ("bin/busybox", 0o100755, busybox(root).read_bytes(), None),
        ("init", 0o100755, (HERE / "guest/init").read_bytes(), None),
        ("modules", 0o40755, b"", None),
    ]
    names = []
    for name, data in modules(kernel_dir):
        entries.append((f"modules/{name}.ko", 0o100644, data, None))
        names.append(name)
    entries.append(("modules/order", 0o100644, "\n".join([*names, ""]).encode(), None))
    with open(into, "wb") as out:
        for number, (name, mode, data, device) in enumerate([*entries, ("TRAILER!!!", 0, b"", None)]):
            cpio(out, number, name, mode, data, device or (0, 0))


def cpio(out, number, name, mode, data, device):
    """An entry of a cpio archive in the format that kernels take ("newc")."""
    text = name.encode() + b"\0"
    fields = [number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(text), 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + text
    for part in (head, data):
        out.write(part + b"\0" * (-len(part) % 4))


def busybox(root):
    return next(p for p in (root / "bin/busybox", root / "usr/bin/busybox") if p.exists())


def userland(base, suite_name, arch):
    """The root directory: Debian's packages, nothing of this machine."""
    root = base / f"userland-{suite_name}-{arch}"
    if (root / "complete").exists():
        return root
    shutil.rmtree(root, ignore_errors=True)
    Suite(base / "apt", suite_name, arch).fetch_with_all(PACKAGES, root)
    for name in ("etc", "dev", "proc", "sys", "tmp", "run", "root", "picket"):
        (root / name).mkdir(exist_ok=True)
    sh = root / "bin/sh"
    if not sh.exists() and not sh.is_symlink():
        sh.symlink_to("dash")
    for name in ("doc", "man", "locale", "lintian"):
        shutil.rmtree(root / "usr/share" / name, ignore_errors=True)
    (root / "etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/bin/false\nnobody:x:65534:65534::/:/bin/false\n"
    )
    (root / "etc/group").write_text("root:x:0:\nwww-data:x:33:\nnogroup:x:65534:\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n")
    (root / "complete").touch()
    return root


def disk(root, programs, into):
    """A disk (ext4) with the root directory and the programs to be tested."""
    for name, path in {**programs, "guest.sh": HERE / "guest/guest.sh"}.items():
        target = root / "picket" / name
        shutil.copyfile(path, target)
        target.chmod(target.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    partial = into.with_suffix(".part")
    partial.unlink(missing_ok=True)
    with open(partial, "wb") as file:
        file.truncate(DISK_MIB << 20)
    mke2fs = shutil.which("mke2fs", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    run([mke2fs or "mke2fs", "-q", "-F", "-t", "ext4", "-d", str(root), str(partial)])
    partial.rename(into)
