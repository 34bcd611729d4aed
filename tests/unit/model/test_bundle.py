"""Whose file a file is, where bundles lie beside and within each other."""

from dagcall.model.bundle import Bundle, Bundles, folder

OUTER, INNER, OTHER = Bundle("outer", "/dags"), Bundle("inner", "/dags/team"), Bundle("other", "/dagsand/")
BUNDLES = Bundles([OTHER, OUTER, INNER])


def test_a_file_belongs_to_the_innermost_folder() -> None:
    assert BUNDLES.of("/dags/a.py") == OUTER
    assert BUNDLES.of("/dags/team/a.py") == INNER
    assert BUNDLES.of("/dagsand/a.py") == OTHER
    assert BUNDLES.of("/elsewhere/a.py") is None


def test_paths_are_shown_relative_to_their_bundle() -> None:
    assert BUNDLES.relative("/dags/team/sub/a.py") == "sub/a.py"
    assert BUNDLES.relative("/dagsand/a.py") == "a.py"
    assert BUNDLES.relative("/elsewhere/a.py") == "/elsewhere/a.py"
    assert folder("/").relative("/a.py") == "a.py"


def test_the_bundle_that_is_configured_first_comes_first() -> None:
    paths = ["/elsewhere/x.py", "/dags/team/a.py", "/dags/b.py", "/dags/a.py", "/dagsand/z.py"]
    assert sorted(paths, key=BUNDLES.order) == [
        "/dagsand/z.py",
        "/dags/a.py",
        "/dags/b.py",
        "/dags/team/a.py",
        "/elsewhere/x.py",
    ]


def test_bundles_are_equal_when_all_their_versions_are() -> None:
    assert Bundles([Bundle("git", "/g", "1")]) == Bundles([Bundle("git", "/g", "1")])
    assert Bundles([Bundle("git", "/g", "1")]) != Bundles([Bundle("git", "/g", "2")])
