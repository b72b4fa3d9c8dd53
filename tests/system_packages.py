"""Install the programs that some tests drive, where we may; name them where we may not.

The tests that need a missing program are skipped and say so.
"""

import os
import shutil
import subprocess
import sys

PROGRAMS = {"chromium": "chromium", "flite": "flite", "espeak-ng": "espeak-ng"}
"""Program to Debian package."""


def main() -> int:
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if not missing:
        return 0
    if os.name == "posix" and os.geteuid() == 0 and shutil.which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        commands = ["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]
        if all(
            subprocess.run(["apt-get", *command], env=environment, stdout=subprocess.DEVNULL, check=False).returncode
            == 0
            for command in commands
        ):
            return 0
    print(f"not installed: {', '.join(missing)}. The tests that need them are skipped; install them to run all.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
