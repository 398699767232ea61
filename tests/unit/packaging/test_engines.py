"""`make engines` installs what is missing, leaves alone what is there, and says what it cannot do."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "requirements" / "engines"
WORKS = "#!/bin/sh\nexit 0\n"


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of commands that stands for a machine with a browser and a Python that writes what it runs."""
    for name in ("sh", "cat", "env"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    for name in ("chromium", "sbatch", "slurmdbd", "munged", "mariadbd", "sshd", "ssh", "rsync"):
        put(tmp_path, name)
    for package in ("doc/slurm-wlm-basic-plugins", "doc/slurm-wlm-mysql-plugin"):
        (tmp_path / "usr/share" / package).mkdir(parents=True)
    (tmp_path / "usr/lib/postgresql").mkdir(parents=True)
    put(tmp_path, "python3", f'#!/bin/sh\n[ "$1" = -c ] || echo "$@" >> {tmp_path}/ran\n')
    return tmp_path


def put(machine: Path, name: str, program: str = WORKS) -> None:
    """Adds a command to the machine."""
    (machine / name).write_text(program)
    (machine / name).chmod(0o755)


def engines(machine: Path) -> "subprocess.CompletedProcess[str]":
    """Runs the script with the machine's commands alone."""
    environ = {"PATH": str(machine), "ENGINES_ROOT": str(machine)}
    return subprocess.run([machine / "sh", SCRIPT], env=environ, capture_output=True, text=True, check=False)


def test_nothing_is_installed_where_all_is_there(machine: Path) -> None:
    put(machine, "gcc")
    done = engines(machine)
    assert (done.returncode, done.stdout) == (0, "engines: all there\n")
    assert not (machine / "asked").exists()


def test_clients_of_grid_services_get_an_environment_of_their_own(machine: Path) -> None:
    put(machine, "gcc")
    assert engines(machine).returncode == 0
    assert (machine / "ran").read_text() == f"{SCRIPT.parent / 'environment.py'} clients\n"


def test_machine_without_a_python_that_is_new_enough_is_told(machine: Path) -> None:
    put(machine, "gcc")
    put(machine, "python3", "#!/bin/sh\nexit 1\n")
    done = engines(machine)
    assert done.returncode == 1
    assert "need Python 3.11 or newer" in done.stderr


def test_clients_that_cannot_be_installed_fail_it(machine: Path) -> None:
    put(machine, "gcc")
    put(machine, "python3", '#!/bin/sh\n[ "$1" = -c ]\n')
    done = engines(machine)
    assert (done.returncode, done.stdout) == (1, "")


def test_missing_compiler_is_installed_by_root(machine: Path) -> None:
    put(machine, "id", "#!/bin/sh\necho 0\n")
    put(machine, "apt-get", f'#!/bin/sh\necho "$@" >> {machine}/asked\n')
    assert engines(machine).returncode == 0
    update, install = (machine / "asked").read_text().splitlines()
    assert update.startswith("update")
    assert install.endswith("gcc libc6-dev")


def test_compiler_without_headers_gets_them(machine: Path) -> None:
    put(machine, "gcc", "#!/bin/sh\nexit 1\n")
    put(machine, "id", "#!/bin/sh\necho 0\n")
    put(machine, "apt-get", f'#!/bin/sh\necho "$@" >> {machine}/asked\n')
    assert engines(machine).returncode == 0
    assert (machine / "asked").read_text().splitlines()[1].endswith("--no-install-recommends libc6-dev")


def test_user_without_sudo_is_told_what_root_would_do(machine: Path) -> None:
    put(machine, "id", "#!/bin/sh\necho 1000\n")
    put(machine, "apt-get")
    done = engines(machine)
    assert done.returncode == 1
    assert "apt-get install gcc libc6-dev" in done.stderr


def test_other_distribution_is_told_what_is_missing(machine: Path) -> None:
    done = engines(machine)
    assert done.returncode == 1
    assert "missing gcc libc6-dev, and there is no apt-get" in done.stderr


def test_missing_plugins_of_slurm_are_installed(machine: Path) -> None:
    (machine / "usr/share/doc/slurm-wlm-mysql-plugin").rmdir()
    put(machine, "gcc")
    put(machine, "id", "#!/bin/sh\necho 0\n")
    put(machine, "apt-get", f'#!/bin/sh\necho "$@" "$RUNLEVEL" >> {machine}/asked\n')
    assert engines(machine).returncode == 0
    asked = (machine / "asked").read_text().splitlines()[1]
    assert asked.endswith("--no-install-recommends slurm-wlm-mysql-plugin 1")


def test_missing_browser_is_installed(machine: Path) -> None:
    (machine / "chromium").unlink()
    put(machine, "gcc")
    put(machine, "id", "#!/bin/sh\necho 0\n")
    put(machine, "apt-get", f'#!/bin/sh\necho "$@" >> {machine}/asked\n')
    assert engines(machine).returncode == 0
    assert (machine / "asked").read_text().splitlines()[1].endswith("--no-install-recommends chromium")
