"""Names and addresses of what results refer to."""

from hypothesis import given
from hypothesis import strategies as st

from dagcall.model.references import Reference, as_json, folder_of, href_of, safe_name


@given(st.text(max_size=300))
def test_a_name_is_one_path_segment_and_leads_nowhere_else(text: str) -> None:
    name = safe_name(text)
    assert name.isascii()
    assert set(name) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
    assert 16 < len(name) < 100


def test_names_that_look_alike_are_not() -> None:
    names = ["a", "A", "a.", "a/", "..", ".", "", "a" * 90, "a" * 91]
    assert len({safe_name(name).lower() for name in names}) == len(names)
    assert folder_of("..", "../../x").count("/") == 1


def test_hrefs() -> None:
    assert href_of("d", "r", "t", -1, 0) == "/call/d/r/value/t"
    assert href_of("d/ü", "a+b:c", "g.t", 0, 2) == "/call/d%2F%C3%BC/a%2Bb%3Ac/value/g.t?map_index=0&part=2"


def test_what_has_no_bytes_has_no_href() -> None:
    known = Reference("file:///x", "text/plain", 3, "abc")
    assert as_json(known, "/h") == {
        "reference": {"uri": "file:///x", "href": "/h", "media_type": "text/plain", "size": 3, "sha256": "abc"}
    }
    assert as_json(Reference("file:///x", "text/plain"), "/h")["reference"] == {
        "uri": "file:///x",
        "href": None,
        "media_type": "text/plain",
        "size": None,
        "sha256": None,
    }
