"""The fixtures, as an application's own tests use them: in a pytest of their own, without pytest-socket."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.allow_hosts(["127.0.0.1"])

APPLICATION = """
import os
import sys

import pytest

from depthhub.testing import Fault

CASES = range(2)  # the second time, the client has been imported for the first


@pytest.fixture
def client():
    import huggingface_hub
    return huggingface_hub


@pytest.mark.parametrize("case", CASES)
def test_the_client_finds_the_local_hub(local_hub, client, case):
    local_hub.add_file("owner/repo", "model.pth", b"weights")
    path = client.hf_hub_download("owner/repo", "model.pth", endpoint=local_hub.endpoint)
    assert path.startswith(os.environ["HF_HUB_CACHE"])
    assert [asked.method for asked in local_hub.requests] == ["HEAD", "GET"]


@pytest.mark.parametrize("case", CASES)
def test_nobody_is_logged_in(local_hub, client, case):
    assert client.get_token() is None


def test_a_process_needs_no_endpoint(local_hub):
    import subprocess
    local_hub.add_file("owner/repo", "model.pth", b"weights")
    code = "import huggingface_hub; print(huggingface_hub.hf_hub_download('owner/repo', 'model.pth'))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.startswith(os.environ["HF_HUB_CACHE"])


def test_every_setting_of_the_user_is_gone(local_hub, hub_environment):
    from depthhub.settings import Settings

    settings = Settings.resolve()
    assert "HF_TOKEN" not in os.environ
    assert settings.endpoint == local_hub.endpoint
    assert settings.stall_timeout == Settings(cache_dir=settings.cache_dir).stall_timeout
    assert settings.cache_dir.parent == hub_environment
    assert not settings.cache_dir.exists()
    assert not settings.offline
"""


def test_an_application_s_tests_never_see_the_user_s_login_or_cache(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "token").write_text("hf_the_user_s_own")
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["depthhub.testing.plugin"]\n')
    (tmp_path / "test_application.py").write_text(APPLICATION)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment |= {"HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "HTTP_PROXY": "http://127.0.0.1:9"}
    environment |= {"HF_TOKEN": "hf_the_user_s_own", "DEPTHHUB_STALL_TIMEOUT": "1"}

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:socket", str(tmp_path)]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert run.returncode == 0, run.stdout + run.stderr
    assert "6 passed" in run.stdout
    assert {path.name for path in home.iterdir()} == {"token"}
