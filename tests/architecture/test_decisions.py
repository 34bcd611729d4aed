import re
from collections import Counter
from pathlib import Path

LIMIT = 60  # lines: context, decision, consequences


def test_each_has_its_own_number_and_fits_a_page(root: Path) -> None:
    files = sorted((root / "docs" / "decisions").glob("*.md"))
    assert files
    assert [file.name for file in files if not re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", file.name)] == []
    numbers = Counter(file.name[:4] for file in files)
    assert [number for number, times in numbers.items() if times > 1] == []
    assert {file.name: n for file in files if (n := len(file.read_text().splitlines())) >= LIMIT} == {}
