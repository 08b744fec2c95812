"""Passwords and signatures in addresses: nothing that is said or written holds them."""

from __future__ import annotations

from pathlib import Path

import pytest
import rasterio
from small_place import PROJECT, run, write_place

from range_server import RangeServer

SECRET = "pa55word"  # noqa: S105

pytestmark = pytest.mark.usefixtures("one_thread")


def secret_address(server: RangeServer, name: str) -> str:
    return f"{server.address}/{name}".replace("://", f"://me:{SECRET}@") + f"?sig={SECRET}&x=1"


def holding(folder: Path) -> list[str]:
    """The files that hold the secret, in their bytes or, of rasters, in their tags."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in ("project.yaml", ".asked.txt"):
            tags = ""
            if path.suffix == ".tif":
                with rasterio.open(path) as file:
                    tags = str(file.tags())
            if SECRET.encode() in path.read_bytes() or SECRET in tags:
                found.append(str(path.relative_to(folder)))
    return found


@pytest.mark.slow
def test_a_project_at_an_address_keeps_its_secrets(
    tmp_path: Path, server: RangeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_place(tmp_path)
    Path("project.yaml").write_text(
        PROJECT.replace("{path: scene.tif}", f'{{path: "{secret_address(server, "scene.tif")}"}}').replace(
            "{path: osm.gpkg}", f'{{path: "{secret_address(server, "osm.gpkg")}"}}'
        )
    )
    for command in ("train project.yaml", "predict project.yaml", "evaluate project.yaml", "info project.yaml"):
        result = run(*command.split())
        assert result.exit_code == 0, result.output
        assert SECRET not in result.output
    assert (tmp_path / "results" / "report.html").exists()
    assert holding(tmp_path) == []


@pytest.mark.parametrize("verb", ["info {}", "predict {} --model coarse.safetensors --out map.tif"])
@pytest.mark.parametrize("name", ["none.tif", "none.json", "item.json"])
def test_errors_keep_the_secrets_of_an_address(
    tmp_path: Path, server: RangeServer, monkeypatch: pytest.MonkeyPatch, verb: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_place(tmp_path)
    (tmp_path / "item.json").write_text("{}")
    result = run("--debug", *verb.format(secret_address(server, name)).split())
    assert result.exit_code == 2, result.output
    assert name in result.output
    assert SECRET not in result.output
