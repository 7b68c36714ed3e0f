"""docs/knowledge.md is what knowledge/*.toml says; `make docs` writes it anew."""

from __future__ import annotations

import os
from pathlib import Path

from sparkdoctor.catalogue import main

PAGE = Path(__file__).resolve().parents[1] / "docs/knowledge.md"


def test_the_page_of_all_knowledge_is_up_to_date(tmp_path: Path) -> None:
    if os.environ.get("UPDATE_DOCS"):
        PAGE.parent.mkdir(exist_ok=True)
        main(str(PAGE))
    now = tmp_path / "knowledge.md"
    main(str(now))
    assert PAGE.exists(), "make docs"
    assert now.read_text("utf-8") == PAGE.read_text("utf-8"), "docs/knowledge.md is not what knowledge/ says: make docs"
