import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estate.embedded.broker_users import (
    BrokerUser,
    BrokerUserError,
    acl_file,
    covers,
    hash_password,
    is_filter,
    is_password,
)

LEVELS = ("a", "b", "$x")
TOPICS = ["/".join(levels) for n in (1, 2, 3, 4) for levels in itertools.product(LEVELS, repeat=n)]
words = st.lists(st.sampled_from(["a", "b", "$x", "+"]), min_size=1, max_size=4)
filters = st.builds(lambda levels, rest: "/".join([*levels, *rest]), words, st.sampled_from([[], ["#"]])) | (
    st.just("#")
)


def matches(topic: str, topic_filter: str) -> bool:
    """The words of MQTT 3.1.1, section 4.7, one level at a time."""
    if topic.startswith("$") and topic_filter[0] in "+#":
        return False

    def rest(levels: list[str], wanted: list[str]) -> bool:
        if not wanted:
            return not levels
        if wanted[0] == "#":
            return True
        return bool(levels) and wanted[0] in {"+", levels[0]} and rest(levels[1:], wanted[1:])

    return rest(topic.split("/"), topic_filter.split("/"))


@given(filters, filters)
def test_what_covers_a_filter_matches_each_of_its_topics(allowed: str, asked: str) -> None:
    if covers(allowed, asked):
        assert all(matches(topic, allowed) for topic in TOPICS if matches(topic, asked))


@given(filters, st.sampled_from(TOPICS))
def test_a_topic_is_covered_exactly_when_the_filter_matches_it(allowed: str, topic: str) -> None:
    assert covers(allowed, topic) is matches(topic, allowed)


@pytest.mark.parametrize(
    ("allowed", "asked", "covered"),
    [
        ("estate/e/d/answer", "estate/e/d/answer", True),
        ("estate/+/+/event", "estate/e/+/event", True),
        ("estate/e/d/answer", "estate/e/+/answer", False),
        ("estate/e/d/answer", "estate/#", False),
        ("estate/e/d/answer", "#", False),
        ("estate/+/+/event", "estate/+/#", False),
        ("estate/#", "estate/e/#", True),
        ("estate/#", "estate", True),
        ("estate/#", "estates", False),
        ("#", "$SYS/broker", False),
        ("#", "#", True),
    ],
)
def test_a_wider_filter_is_not_covered_by_a_narrower_one(allowed: str, asked: str, covered: bool) -> None:
    assert covers(allowed, asked) is covered


def test_a_hash_is_the_one_that_mosquitto_writes() -> None:
    # Made by mosquitto_passwd 2.0.11 for the password "secret".
    kept = (
        "$7$101$ZlbRIxZ6qc70qOI5$"
        "6d5zwb6+87sX0kdeqX1ynGy+Yy3iAamU5LV6lGqu/LE41Qna7VvHpv/jbWCaoFlVtTyZQ0RRfQ6g6wgR6roUZA=="
    )
    assert is_password("secret", kept)
    assert not is_password("Secret", kept)
    assert not is_password("", kept)


def test_the_same_password_with_another_salt_has_another_hash() -> None:
    assert hash_password("p", b"a" * 12) != hash_password("p", b"b" * 12)


def test_a_password_does_not_show_when_a_user_is_printed() -> None:
    assert "geheim" not in repr(BrokerUser("d1", "geheim"))


def test_rights_name_each_user_with_only_its_own_topics() -> None:
    users = [
        BrokerUser("d1", "p", reads=("e/d1/answer",), writes=("e/d1/event", "e/d1/status")),
        BrokerUser("d2", "p"),
    ]
    assert acl_file(users).split("\n") == [
        "user d1",
        "topic read e/d1/answer",
        "topic write e/d1/event",
        "topic write e/d1/status",
        "",
        "user d2",
        "",
    ]


@pytest.mark.parametrize("name", ["", "a:b", "a b", "a\nuser root", "a#", "+", "a/b", "\x7f"])
def test_a_name_that_would_mean_something_else_in_the_files_is_refused(name: str) -> None:
    with pytest.raises(BrokerUserError):
        BrokerUser(name, "p")


@pytest.mark.parametrize("topic", ["", "a b", "a\ntopic read #", "a/#/b", "a+/b", "a/b#"])
def test_a_topic_that_is_no_filter_is_refused(topic: str) -> None:
    with pytest.raises(BrokerUserError):
        BrokerUser("d1", "p", reads=(topic,))
    with pytest.raises(BrokerUserError):
        BrokerUser("d1", "p", writes=(topic,))


def test_a_user_without_a_password_is_refused() -> None:
    with pytest.raises(BrokerUserError):
        BrokerUser("d1", "")


@given(st.text(alphabet="ab+#/", max_size=8))
def test_a_filter_has_its_wildcards_alone_in_their_levels(text: str) -> None:
    levels = text.split("/")
    assert is_filter(text) is (
        text != ""
        and all(level in {"+", "#"} or ("+" not in level and "#" not in level) for level in levels)
        and text.count("#") <= 1
        and ("#" not in text or levels[-1] == "#")
    )
