"""Whose event it is."""
import sys
import threading
from types import SimpleNamespace

import pytest
from extension import module

scope = module("scope")
Scope, EVERYBODY, NOBODY = scope.Scope, scope.EVERYBODY, scope.NOBODY


def elsewhere(act):
    """What it answers on another thread."""
    out = []
    thread = threading.Thread(target=lambda: out.append(act()))
    thread.start()
    thread.join()
    return out[0]


SIDS = ["a", "0" * 128, "é" * 64, "\U0001f600" * 32, "null", " ", "a b", "../x"]
NO_SIDS = ["", None, 5, 0, True, b"a", ["a"], "a" * 129, "é" * 65, "{a}", "a{", "a}", "a\n", "\0", "\x7f", "\x9f", "\ud800", 1.5]


@pytest.mark.parametrize("client_id", SIDS)
def test_session_is_a_string_that_the_contract_allows(client_id):
    assert scope.session(client_id) == client_id


@pytest.mark.parametrize("client_id", NO_SIDS, ids=lambda v: ascii(v)[:12])
def test_any_other_client_id_is_nobody(client_id):
    assert scope.session(client_id) == NOBODY


def test_what_clients_call_themselves_is_not_held():
    client_id = "".join(["x" * 64, "y" * 64])
    before = sys.getrefcount(client_id)
    scope.session(client_id)
    assert sys.getrefcount(client_id) == before


@pytest.mark.parametrize("sid", [s for s in NO_SIDS if s is not None], ids=lambda v: ascii(v)[:12])
@pytest.mark.parametrize("is_stock", [False, True])
def test_event_with_a_sid_that_is_none_is_for_nobody(sid, is_stock):
    assert Scope(is_stock).addressee("x", sid) == NOBODY


@pytest.mark.parametrize("is_stock", [False, True])
def test_event_with_a_sid_is_its_sessions_whoever_raises_it(is_stock):
    known = Scope(is_stock)
    known.begins("p", "mine")
    assert known.addressee("x", "other") == "other"
    assert elsewhere(lambda: known.addressee("x", "other")) == "other"


def test_event_without_sid_on_the_prompts_thread_is_its_clients():
    known = Scope()
    known.begins("p", "mine")
    assert known.addressee("x", None) == "mine" and known.addressee(3, None) == "mine"


@pytest.mark.parametrize("client_id", NO_SIDS, ids=lambda v: ascii(v)[:12])
def test_event_without_sid_of_a_headless_prompt_is_for_nobody(client_id):
    known = Scope()
    known.begins("p", client_id)
    assert known.addressee("x", None) == NOBODY


def test_event_without_sid_of_another_thread_is_for_everybody():
    known = Scope()
    known.begins("p", "mine")
    assert elsewhere(lambda: known.addressee("x", None)) is EVERYBODY


def test_event_without_sid_before_any_prompt_is_for_everybody():
    assert Scope().addressee("x", None) is EVERYBODY


def test_status_is_for_everybody_also_on_the_prompts_thread():
    known = Scope()
    known.begins("p", "mine")
    assert known.addressee("status", None) is EVERYBODY


def test_stock_scope_sends_to_everybody_what_has_no_sid():
    known = Scope(is_stock=True)
    known.begins("p", "mine")
    assert known.addressee("x", None) is EVERYBODY


def test_next_prompt_takes_the_thread_over():
    known = Scope()
    known.begins("p", "mine")
    known.begins("q", "yours")
    assert known.addressee("x", None) == "yours"
    known.begins("r", None)
    assert known.addressee("x", None) == NOBODY


@pytest.mark.parametrize("client_id", ["mine", None])
def test_event_without_sid_after_the_prompt_is_for_everybody(client_id):
    known = Scope()
    known.begins("p", client_id)
    known.ends()
    assert known.addressee("x", None) is EVERYBODY


def test_prompt_within_a_prompt_hands_the_thread_back():
    known = Scope()
    known.begins("p", "mine")
    known.begins("q", "yours")
    known.ends()
    assert known.addressee("x", None) == "mine"


def test_two_prompts_on_two_threads_are_kept_apart():
    known = Scope()
    known.begins("p", "mine")

    def other():
        known.begins("q", "yours")
        return known.addressee("x", None)
    assert elsewhere(other) == "yours" and known.addressee("x", None) == "mine"


def test_executing_context_tells_whose_it_is_on_other_threads():
    context = SimpleNamespace(prompt_id="p")
    known = Scope(context=lambda: context)
    known.begins("p", "mine")
    assert elsewhere(lambda: known.addressee("x", None)) == "mine"


def test_what_an_earlier_prompts_node_left_running_is_still_its_clients():
    context = SimpleNamespace(prompt_id="p")
    known = Scope(context=lambda: context)
    known.begins("p", "mine")
    known.begins("q", "yours")
    assert elsewhere(lambda: known.addressee("x", None)) == "mine"


def test_prompt_that_runs_again_is_remembered_anew():
    context = SimpleNamespace(prompt_id="p0")
    known = Scope(context=lambda: context)
    for i in range(scope.PROMPTS):
        known.begins(f"p{i}", "mine")
    for again in ("p0", "one more"):
        known.begins(again, "mine")
    assert elsewhere(lambda: known.addressee("x", None)) == "mine"


def test_context_of_a_headless_or_forgotten_prompt_is_nobodys():
    context = SimpleNamespace(prompt_id="p0")
    known = Scope(context=lambda: context)
    known.begins("p0", "mine")
    for i in range(1, scope.PROMPTS + 1):
        known.begins(f"p{i}", None)
    assert elsewhere(lambda: known.addressee("x", None)) == NOBODY
    context.prompt_id = "p5"
    assert elsewhere(lambda: known.addressee("x", None)) == NOBODY
