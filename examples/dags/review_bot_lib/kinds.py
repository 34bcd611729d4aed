"""What kind of change a release note tells of: by the heading it stands under, else by its own words."""

from __future__ import annotations

import re

CHANGE = "change"  # none of the others

# kind -> what its headings say, what its notes say. The first that fits counts, so the grave ones come first.
_SIGNS = {
    kind: (re.compile(headings, re.IGNORECASE), re.compile(words, re.IGNORECASE))
    for kind, headings, words in (
        ("security", r"security", r"\bCVE-|\bGHSA-|vulnerab|\bsecurity\b"),
        ("breaking", r"removed|breaking|incompatible", r"^(drop|remove)|\bbreaking\b|no longer support|\bnow require"),
        ("deprecation", r"deprecat", r"^deprecat|\b(is|are) (now )?deprecated|scheduled for removal"),
        ("fix", r"fix|bug", r"^(re)?(fix|solve|pair)(ed|es|s|d)?\b|^correct|\bregression\b"),
        ("performance", r"performance", r"\bfaster\b|\bspeed|\bperformance\b|\bquicker\b"),
        ("feature", r"added|feature|new\b", r"^(add|support|allow|introduce|provide)|\bnow supports?\b"),
    )
}
KINDS = (*_SIGNS, CHANGE)


def kind_of(heading: str, text: str) -> str:
    """One of `KINDS`. A heading outweighs the words of the note, but never hides that it is about security."""
    if _SIGNS["security"][1].search(text):
        return "security"
    by_heading = next((kind for kind, (headings, _) in _SIGNS.items() if headings.search(heading)), None)
    return by_heading or next((kind for kind, (_, words) in _SIGNS.items() if words.search(text)), CHANGE)
