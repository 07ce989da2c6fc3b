"""Fetches Debian packages of any suite and architecture, and unpacks them; nothing is installed.

apt itself does it, with a configuration directory of its own for each suite and architecture. The
mirror is the one that this machine's own sources name.
"""

import fnmatch
import os
import pathlib
import re
import subprocess

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class Trouble(Exception):
    """Something that a person must look at."""


def mirror():
    """The address of Debian's archive in the sources of this machine."""
    lines = run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages"]
    ).splitlines()
    for line in lines:
        uri, _, label = line.partition(" ")
        if label == "Debian":
            return uri
    raise Trouble("apt's sources name no Debian archive (run apt-get update first?)")


def run(command, env=None, **options):
    done = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, **options
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise Trouble(f"{' '.join(map(str, command))}: {said}")
    return done.stdout


class Suite:
    """A suite of Debian, for one architecture; with another suite and architecture beside it."""

    def __init__(self, base, name, arch, newer="", foreign=""):
        self.name, self.arch, self.newer, self.foreign = name, arch, newer, foreign
        parts = [part for part in (newer or name, arch, foreign) if part]
        self.dir = pathlib.Path(base).absolute() / "-".join(parts)
        self.env = dict(os.environ, APT_CONFIG=str(self.dir / "apt.conf"), LC_ALL="C")
        self.updated = False

    def update(self):
        """Fetches the suite's lists of packages, once in the life of this process."""
        if self.updated:
            return
        for part in ("lists/partial", "archives/partial", "parts"):
            (self.dir / part).mkdir(parents=True, exist_ok=True)
        (self.dir / "status").touch()
        (self.dir / "sources.list").write_text(
            "".join(
                f"deb [signed-by={KEYRING}] {mirror()} {name} main\n"
                for name in (self.name, self.newer)
                if name
            ),
            encoding="utf-8",
        )
        archs = "".join(f'"{arch}"; ' for arch in (self.arch, self.foreign) if arch)
        (self.dir / "apt.conf").write_text(
            f"""
            APT::Architecture "{self.arch}"; APT::Architectures {{ {archs} }};
            APT::Sandbox::User "root"; Acquire::Retries "3"; Acquire::Languages "none";
            // A mirror may be late with suites that change daily; signatures are checked all the same.
            Acquire::Check-Valid-Until "false";
            Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
            Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
            Dir::State "{self.dir}"; Dir::State::status "{self.dir}/status";
            Dir::State::lists "{self.dir}/lists"; Dir::Cache "{self.dir}";
            Dir::Cache::archives "{self.dir}/archives"; Dir::Etc "{self.dir}";
            Dir::Etc::sourcelist "{self.dir}/sources.list"; Dir::Etc::sourceparts "{self.dir}/parts";
            Dir::Etc::main "{self.dir}/apt.conf"; Dir::Etc::parts "{self.dir}/parts";
            Dir::Etc::preferences "{self.dir}/preferences";
            Dir::Etc::preferencesparts "{self.dir}/parts";
            """,
            encoding="utf-8",
        )
        run(["apt-get", "update", "-qq"], self.env)
        self.updated = True

    def newest(self, pattern):
        """The kernel with the highest version in its name among the packages that match, and those
        that it was split into. One of which a part is gone from the archive is passed over."""
        self.update()
        names = run(["apt-cache", "pkgnames"], self.env).split()
        found = fnmatch.filter(names, pattern)
        found.sort(key=lambda name: [int(n) for n in re.findall(r"\d+", name)], reverse=True)
        for name in found:
            parts = self.parts(name)
            if set(parts) <= set(names):
                return name, parts
        raise Trouble(f"{self.name} ({self.arch}) has no package {pattern} that is whole")

    def parts(self, package):
        """A kernel and the packages that it was split into."""
        release = package.removeprefix("linux-image-")
        wanted = [package]
        for line in run(["apt-cache", "depends", package], self.env).splitlines():
            kind, _, name = line.strip().partition(" ")
            name = name.strip("<>")
            if kind == "Depends:" and re.fullmatch(rf"linux-(base|binary|modules)-{re.escape(release)}", name):
                wanted.append(name)
        return wanted

    def fetch(self, packages, into):
        """Unpacks these packages, and no others."""
        self.update()
        down = self.dir / "down"
        down.mkdir(exist_ok=True)
        for old in down.glob("*.deb"):
            old.unlink()
        run(["apt-get", "download", "-qq", *packages], self.env, cwd=down)
        self.unpack(down.glob("*.deb"), into)

    def fetch_with_all(self, packages, into):
        """Unpacks these packages and all that they depend on, as if nothing was installed."""
        self.update()
        run(
            ["apt-get", "install", "-qq", "-y", "--download-only", "--no-install-recommends"]
            + ["-t", self.newer or self.name, *packages],
            self.env,
        )
        # As systems are since Debian 12.
        for name in ("bin", "lib", "lib64", "sbin"):
            (into / "usr" / name).mkdir(parents=True, exist_ok=True)
            if not (into / name).is_symlink():
                (into / name).symlink_to(f"usr/{name}")
        self.unpack((self.dir / "archives").glob("*.deb"), into)

    @staticmethod
    def unpack(archives, into):
        into.mkdir(parents=True, exist_ok=True)
        for archive in sorted(archives):
            with subprocess.Popen(
                ["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE
            ) as data:
                run(["tar", "-x", "--keep-directory-symlink", "-C", into], stdin=data.stdout)
            if data.returncode:
                raise Trouble(f"{archive} cannot be unpacked")
            archive.unlink()
