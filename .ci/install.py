"""Make a virtual environment with this project in it, from hashed constraints; never use a package without a hash."""

import argparse
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Make the environment and install the constraints and the project."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the virtual environment to make or to bring up to date")
    parser.add_argument("constraints", type=Path, help="what to install: every package with version and hashes")
    arguments = parser.parse_args()
    python = make_environment(arguments.folder)
    install(python, arguments.constraints)


def make_environment(folder: Path) -> Path:
    """Make a virtual environment, or use the one that is there, and return its interpreter.

    Exits with what to do when this Python cannot make one: Debian keeps ensurepip in a package of its own.
    """
    python = folder / "bin" / "python"
    if python.exists() and works(python):
        return python
    try:
        import ensurepip  # noqa: F401 - it is a question, and its answer may be no
    except ImportError:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        sys.exit(
            f"error: {sys.executable} cannot make virtual environments: its module ensurepip is missing.\n"
            f"hint: on Debian and Ubuntu run `apt-get install python{version}-venv` (or python3-venv), or name "
            "another interpreter: `make PYTHON=/path/to/python3 ...`"
        )
    venv.create(folder, clear=True, symlinks=True, with_pip=True)
    return python


def works(python: Path) -> bool:
    """Tell whether the environment is whole and made by the same version of Python as this one."""
    question = "import pip, sys; print(sys.version_info[:2])"
    answer = subprocess.run([python, "-I", "-c", question], capture_output=True, text=True, check=False)
    return answer.returncode == 0 and answer.stdout.strip() == str(sys.version_info[:2])


def install(python: Path, constraints: Path) -> None:
    """Install what the constraints name, then the project itself."""
    pip(python, "--require-hashes", "-r", str(constraints))
    # The project has no hash: it is what stands here. Its build backend was installed with one above.
    pip(python, "--no-deps", "--no-build-isolation", "--no-index", "--editable", str(ROOT))


def pip(python: Path, *arguments: str) -> None:
    """Run `pip install` in the environment; exit with its code when it fails."""
    options = ["--quiet", "--disable-pip-version-check", "--no-input"]
    # An environment that is active, or a PYTHONPATH, must not leak into the one that is being made.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([python, "-m", "pip", "install", *options, *arguments], env=environment, check=False)
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    main()
