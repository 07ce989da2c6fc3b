"""Builds picket for arm64 on amd64, with Debian's own cross compilers.

rustup brings the standard library for arm64 where it may download it. Here nothing but Debian's archive
is needed: its Rust compiler for this machine, its standard library and C libraries for arm64, unpacked
into a directory that the build runs in (chroot), with this repository and cargo's crates mounted.
"""

import os
import pathlib
import shutil
import subprocess

from apt import Suite, Trouble, run

SUITE, NEWER = "trixie", "trixie-backports"  # the first that has a compiler that is new enough
TARGET = "aarch64-unknown-linux-gnu"
PACKAGES = (
    "rustc cargo clang gcc libc6-dev libelf-dev zlib1g-dev make pkg-config coreutils dash sed grep "
    "gcc-aarch64-linux-gnu "
    "libstd-rust-dev:arm64 libc6-dev:arm64 libelf-dev:arm64 zlib1g-dev:arm64"
).split()


def tools(base):
    """The directory with the compilers."""
    root = base / "cross-arm64"
    if (root / "complete").exists():
        return root
    if os.geteuid():
        raise Trouble("building for arm64 takes a chroot: run as root, or name the amd64 kernels")
    shutil.rmtree(root, ignore_errors=True)
    suite = Suite(base / "apt", SUITE, "amd64", newer=NEWER, foreign="arm64")
    suite.fetch_with_all(PACKAGES, root)
    for name in ("picket", "cargo", "target", "proc", "dev", "tmp"):
        (root / name).mkdir(exist_ok=True)
    cc = root / "usr/bin/cc"
    if not cc.exists():
        cc.symlink_to("gcc")
    (root / "complete").touch()
    return root


def build(base, repository):
    """Builds picket and the kernel tests. Returns the programs, by name."""
    root = tools(base)
    cargo_home = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
    run(["cargo", "fetch", "--locked"], cwd=repository)  # the chroot has no network of its own
    target = base / "target-arm64"
    target.mkdir(exist_ok=True)
    env = {
        "PATH": "/usr/bin", "HOME": "/tmp", "CARGO_HOME": "/cargo", "CARGO_TARGET_DIR": "/target",
        "CARGO_NET_OFFLINE": "true", "RUSTC": "/usr/bin/rustc",
        "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER": "aarch64-linux-gnu-gcc",
        "CC_aarch64_unknown_linux_gnu": "aarch64-linux-gnu-gcc", "PKG_CONFIG_ALLOW_CROSS": "1",
        "PKG_CONFIG_LIBDIR": "/usr/lib/aarch64-linux-gnu/pkgconfig",
        # libbpf's own <linux/types.h> lacks what arm64's newest <asm/sigcontext.h> wants of it.
        "CFLAGS_aarch64_unknown_linux_gnu": "-D__u128=__uint128_t",
    }  # fmt: skip
    script = f"""
        set -e
        mount --bind {repository} {root}/picket
        mount --bind {cargo_home} {root}/cargo
        mount --bind {target} {root}/target
        mount --bind /dev {root}/dev
        mount -t proc proc {root}/proc
        exec chroot {root} /usr/bin/env -i {" ".join(f"{k}={v}" for k, v in env.items())} \
            sh -ec 'cd /picket
                cargo build --locked --target {TARGET} -p picket --bin picket
                cargo test --locked --target {TARGET} -p picket-probe --test kernel --no-run'
    """
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], check=False)
    if done.returncode:
        raise Trouble("picket does not build for arm64")
    debug = target / TARGET / "debug"
    kernel = [path for path in (debug / "deps").glob("kernel-*") if not path.suffix]
    built = {"picket": debug / "picket", "kernel": max(kernel, key=lambda p: p.stat().st_mtime)}
    programs = {}
    for name, path in built.items():
        programs[name] = base / f"{name}-arm64"
        shutil.copyfile(path, programs[name])
    return programs
