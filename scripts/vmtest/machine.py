"""Boots a kernel in a virtual machine (software emulation), and listens to what it says."""

import os
import re
import selectors
import shutil
import subprocess
import time

from apt import Trouble

SYSTEMS = {
    "amd64": {
        "program": "qemu-system-x86_64",
        "machine": ["-machine", "q35", "-cpu", "max"],
        "console": "ttyS0",
    },
    "arm64": {
        "program": "qemu-system-aarch64",
        "machine": ["-machine", "virt", "-cpu", "max,pauth-impdef=on"],
        "console": "ttyAMA0",
    },
}
# A machine that says nothing for so long hangs. Emulation is slow, and so may be the host.
SILENCE = 600
# No matrix is worth waiting longer for.
WHOLE = 5400


def boot(arch, vmlinuz, initramfs, disk, words, log):
    """Boots and returns what was said, as lines; the last of them says how it ended."""
    system = SYSTEMS[arch]
    program = shutil.which(system["program"])
    if not program:
        raise Trouble(f"{system['program']} is not installed (scripts/setup.sh vm)")
    command = [
        program, *system["machine"], "-accel", f"tcg,thread={threads(program)}", "-smp", "2", "-m", "1G", "-nodefaults", "-no-user-config",
        "-display", "none", "-no-reboot", "-serial", "stdio", "-rtc", "clock=vm",
        "-kernel", vmlinuz, "-initrd", initramfs,
        "-drive", f"file={disk},format=raw,if=none,id=disk,snapshot=on",
        "-device", "virtio-blk-pci,drive=disk",
        "-object", "rng-random,filename=/dev/urandom,id=rng", "-device", "virtio-rng-pci,rng=rng",
        "-append",
        " ".join([f"console={system['console']}", "quiet", "loglevel=1", "panic=-1",
                  "oops=panic", "net.ifnames=0", *words]),
    ]  # fmt: skip
    lines = []
    with open(log, "w", encoding="utf-8") as out:
        for line in listen(command):
            out.write(f"{line}\n")
            out.flush()
            lines.append(line)
    return lines


def threads(program):
    """Emulators before 8.1 can run code that another processor has just replaced, as kernels do when
    a hook is attached: there one thread has to play all processors."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"version (\d+)\.(\d+)", said)
    new = version and (int(version[1]), int(version[2])) >= (8, 1)
    return "multi" if new else "single"


def listen(command):
    """What a machine says, line by line; it is ended if it says nothing any more."""
    machine = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    begun = heard = time.monotonic()
    rest = b""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(machine.stdout, selectors.EVENT_READ)
            while True:
                ready = selector.select(timeout=5)
                now = time.monotonic()
                if ready:
                    heard = now
                    data = os.read(machine.stdout.fileno(), 65536)
                    if not data:
                        break
                    *whole, rest = (rest + data).split(b"\n")
                    yield from map(clean, whole)
                if now - heard > SILENCE or now - begun > WHOLE:
                    yield clean(rest)
                    yield "VMTEST broken it hangs"
                    return
        yield clean(rest)
        if machine.wait():
            yield f"VMTEST broken the emulator ended with {machine.returncode}"
    finally:
        machine.kill()
        machine.wait()


def clean(line):
    """A line of a serial console, without what would move a terminal's cursor."""
    text = line.decode("utf-8", "backslashreplace").rstrip("\r")
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x1bc|[\x00-\x08\x0b-\x1f]", "", text)
