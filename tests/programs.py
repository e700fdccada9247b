"""Stand-ins for programs of the outer system: real executables that note how they are called."""

import sysconfig

import pytest


class Programs:
    """Executables on an otherwise empty PATH that note their arguments."""

    def __init__(self, folder):
        self.folder = folder
        self.noted = folder / "arguments"

    def add(self, name, says="", status=0, then=""):
        """``name`` prints ``says`` and ends with ``status``, after the shell commands ``then``."""
        (self.folder / f"{name}.says").write_text(says)
        script = self.folder / name
        script.write_text(
            "#!/bin/sh\n"
            f"printf '%s\\n' {name} \"$@\" >> '{self.noted}'\n"
            f"while IFS= read -r line; do printf '%s\\n' \"$line\"; done < '{script}.says'\n"
            f"{then}\nexit {status}\n"
        )
        script.chmod(0o755)
        return script

    @property
    def calls(self):
        """The words of all commands so far."""
        return self.noted.read_text().splitlines() if self.noted.exists() else []


@pytest.fixture
def programs(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    # Nor is anything found beside this Python.
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / "scripts"))
    return Programs(folder)
