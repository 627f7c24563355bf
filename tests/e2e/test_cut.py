"""A page whose connection is lost in mid-prompt, in a real browser: it comes back by itself with the same sid, and gets what it
missed and nothing else; what it had not acknowledged counts as missed."""
import pytest
from servers import Relay
from recorded import RecordedRun, assert_same, frames

LOST_PING = 'connections_closed_total{reason="ping_timeout"}'


def missed(run, begin, is_elsewhere, has_flag=True):
    """What comes after this place. Read back from Redis, conflated events of the whole prompt follow: which of them were
    seen is not known there."""
    events = run.kept(begin) + run.conflated() if is_elsewhere else run.log(begin)
    return run.current_executing(begin) + frames(events, has_flag)


def expect_only_what_was_missed(tab, begin):
    is_elsewhere = len(tab.relays) > 1
    expected = missed(tab.run, begin, is_elsewhere)
    seen = tab.wait_next_socket(len(expected))
    conflated = len(tab.run.conflated()) if is_elsewhere else 0
    n = len(seen) - conflated
    assert_same(seen[:n] + sorted(seen[n:]), expected[:n] + sorted(expected[n:]))
    return len(expected)


def before_a_sampler(tab):
    """The page has acknowledged all up to a node's beginning; what follows are previews of it, and later other nodes."""
    place = tab.run.after("executing", nth=4)
    tab.played(place)
    return place


WHILE_AWAY = pytest.mark.parametrize("while_away", [("progress", 3), ("executed", 2)], ids=["same node", "other nodes"])


@WHILE_AWAY
def test_reset_client_gets_only_what_it_missed(while_away, open_tab, relays, wire):
    tab = open_tab(relays, wire=wire)
    place = before_a_sampler(tab)
    wire.shut_door()
    wire.newest.reset()
    tab.run.play(tab.run.after(*while_away))
    tab.next_relay()
    wire.open_door()
    tab.expect_the_rest(expect_only_what_was_missed(tab, place))


@WHILE_AWAY
def test_client_that_fell_silent_gets_only_what_it_missed(while_away, open_tab, relays, wire):
    """Its old socket is still open on the relay, which has written all of it there."""
    tab = open_tab(relays, wire=wire)
    place = before_a_sampler(tab)
    wire.newest.fall_silent()
    tab.run.play(tab.run.after(*while_away))
    tab.next_relay()
    wire.newest.lose_client()
    tab.expect_the_rest(expect_only_what_was_missed(tab, place))


def test_client_that_missed_its_pings_gets_only_what_it_missed(open_tab, redis_server, make_wire):
    with Relay(redis_server, ws__ping_interval="200ms", ws__ping_timeout="300ms") as relay:
        wire = make_wire(relay)
        tab = open_tab([relay], wire=wire)
        place = before_a_sampler(tab)
        wire.newest.fall_silent()
        tab.run.play(tab.run.after("executed", nth=2))
        relay.wait_metric(LOST_PING, 1)
        wire.newest.lose_client()
        tab.expect_the_rest(expect_only_what_was_missed(tab, place))


def test_what_was_not_acknowledged_is_sent_again(open_tab, relays, wire):
    tab = open_tab(relays, wire=wire)
    place = before_a_sampler(tab)
    acknowledged = tab.run.acknowledged
    wire.newest.up.clear()
    (newest,) = frames([tab.run.play(tab.run.after("executed", nth=2))])
    tab.page.wait_frame(newest)
    assert tab.run.acknowledged == acknowledged
    tab.next_relay()
    wire.newest.reset()
    tab.expect_the_rest(expect_only_what_was_missed(tab, place))


def test_run_with_ten_cuts_is_seen_once_and_in_order(open_tab, relays, wire):
    tab = open_tab(relays, wire=wire)
    tab.run = RecordedRun(tab.server, tab.sid, "m2_async")
    for place in range(3, 33, 3):
        tab.played(place)
        wire.shut_door()
        wire.newest.reset()
        tab.run.play(place + 2)
        tab.next_relay()
        wire.open_door()
        tab.run.wait_acknowledged()
    tab.expect_end()
