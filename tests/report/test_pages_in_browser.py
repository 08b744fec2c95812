"""The pages in a real browser: Chromium, as it comes with Debian (``make browser``)."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from compared_maps import report
from PIL import Image

from crispmap.report.pages.comparison import write_comparison

pytestmark = pytest.mark.slow
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_PROBE = """
<script>
addEventListener("load", () => {
  const wide = [...document.querySelectorAll("body *")].filter((one) => {
    const box = one.getBoundingClientRect();
    return box.right > innerWidth + 1 && !one.closest(".scroll, svg, dialog");
  });
  document.documentElement.dataset.probe = JSON.stringify({
    width: innerWidth,
    scroll: document.documentElement.scrollWidth,
    beyond: wide.slice(0, 5).map((one) => one.outerHTML.slice(0, 120)),
    broken: [...document.images].filter((one) => !one.naturalWidth).length,
    small: [...document.querySelectorAll("p, td, th, li, figcaption")]
      .filter((one) => parseFloat(getComputedStyle(one).fontSize) < 11).length,
  });
});
</script>
</body>"""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: make browser installs it")
    return write_comparison(tmp_path_factory.mktemp("page") / "report.html", report())


def chromium(page: Path, *options: str) -> subprocess.CompletedProcess[str]:
    profile = page.parent / "profile"
    command = [
        str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        f"--user-data-dir={profile}", "--enable-logging=stderr", "--disable-dev-shm-usage",
        "--virtual-time-budget=5000", *options, page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def test_it_says_nothing_to_the_console_and_fits_a_phone(page: Path) -> None:
    framed = page.parent / "probed.html"
    text = page.read_text(encoding="utf-8")
    framed.write_text(text.replace("</body>", _PROBE), encoding="utf-8")
    # A window may not become as narrow as a phone; a frame in it may.
    outer = page.parent / "outer.html"
    outer.write_text(
        '<body style="margin:0"><iframe id="f" src="probed.html" style="width:360px;height:800px;border:0"></iframe>'
        '<script>const f = document.getElementById("f"); f.addEventListener("load", () => setTimeout(() => {'
        "document.documentElement.dataset.probe = f.contentDocument.documentElement.dataset.probe}, 50))"
        "</script>"
    )
    done = chromium(outer, "--allow-file-access-from-files", "--dump-dom")
    assert "CONSOLE" not in done.stderr
    found = re.search(r'data-probe="([^"]*)"', done.stdout)
    assert found is not None, done.stdout[:500]
    probe = json.loads(found[1].replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert probe["width"] == 360
    assert probe["scroll"] <= 360, probe["beyond"]
    assert probe["beyond"] == []
    assert probe["broken"] == 0
    assert probe["small"] == 0


@pytest.mark.parametrize(("scheme", "number"), [("dark", 0), ("light", 1)])
def test_it_is_legible_in_both_schemes(page: Path, scheme: str, number: int) -> None:
    shot = page.parent / f"{scheme}.png"
    chromium(page, f"--blink-settings=preferredColorScheme={number}", "--window-size=1200,1600", f"--screenshot={shot}")
    grey = np.asarray(Image.open(shot).convert("L")).astype(int)
    paper = np.bincount(grey.ravel(), minlength=256).argmax()
    assert paper < 40 if scheme == "dark" else paper > 240
    ink = grey > 200 if scheme == "dark" else grey < 60
    assert 0.003 < ink.mean() < 0.4  # neither blank nor blotted


def test_it_prints(page: Path) -> None:
    pdf = page.parent / "report.pdf"
    chromium(page, f"--print-to-pdf={pdf}", "--no-pdf-header-footer")
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(content) > 30_000
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", content)) <= 12
