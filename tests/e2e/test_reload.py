"""A page that is reloaded, left or closed in mid-prompt, in a real browser: whoever comes next with its sid has seen nothing,
and gets everything since `execution_start`, although the old page had acknowledged it.

Chromium says goodbye with 1001: on a reload within some 10 ms of the new socket, before or after it; when a page is left or
closed, before there is a new one.
"""
import pytest
from recorded import PLACES, RecordedRun, assert_same, frames


def ten_times(tab, go):
    """In one prompt, further on each time; then it goes on to its end."""
    for place in PLACES:
        tab.played(place)
        tab.go_in_time(go)
        had = tab.expect_whole_run()
    tab.expect_the_rest(had)


def test_reloaded_page_gets_the_run_from_its_start(open_tab, relays):
    tab = open_tab(relays)
    ten_times(tab, tab.reload)


def test_page_that_was_left_and_is_opened_again_gets_the_run_from_its_start(open_tab, relays):
    tab = open_tab(relays)
    ten_times(tab, tab.leave_and_return)


def test_closed_tab_that_is_opened_again_gets_the_run_from_its_start(open_tab, relays):
    tab = open_tab(relays)
    ten_times(tab, tab.close_and_open)


def test_goodbye_before_the_new_socket_forgets_the_place(open_tab, relays, wire):
    tab = open_tab(relays, wire=wire)
    ten_times(tab, tab.reload_with_goodbye_first)


def test_goodbye_after_the_new_socket_forgets_the_place(open_tab, relays, wire):
    tab = open_tab(relays, wire=wire)
    ten_times(tab, tab.reload_with_goodbye_last)


def test_page_whose_script_is_stuck_says_goodbye_all_the_same(open_tab, relays):
    """Its browser acknowledges for it what the page has never seen."""
    tab = open_tab(relays)
    tab.played(tab.run.after("executing"))
    tab.page.evaluate("void setTimeout(() => { for (;;); })")
    tab.run.play(tab.run.after("executed"))
    tab.run.wait_acknowledged()
    tab.close_and_open()
    tab.expect_the_rest(tab.expect_whole_run())


def test_run_that_goes_on_while_its_page_reloads_is_seen_whole(open_tab, relays):
    """The worker does not wait: events come while the old socket is open, while both are, and while the new one waits."""
    tab, in_time = open_tab(relays), 0
    for _ in range(40):
        tab.run = RecordedRun(tab.server, tab.sid, "f_reconnect", all_kept=True)
        tab.played(tab.run.after("executing", nth=2))
        with tab.run.plays_in_the_background(tab.run.after("executing", nth=3)):
            tab.reload()
        assert tab.page.wait_open() == tab.sid
        if not tab.goodbye_came_in_time():
            tab.played(tab.run.end)
            continue
        tab.page.wait_frames(1)
        tab.expect_end()
        in_time += 1
        if in_time == 10:
            return
    raise AssertionError(f"in time only {in_time} times")


def test_reloaded_page_gets_nothing_when_no_prompt_executes(open_tab, relays):
    tab = open_tab(relays)
    tab.played(tab.run.end)
    tab.reload()
    assert tab.page.wait_open() == tab.sid
    tab.run = RecordedRun(tab.server, tab.sid)
    tab.played(tab.run.after("execution_start"))
    assert_same(tab.page.frames(), frames(tab.run.log()))


@pytest.mark.parametrize("has_flag", [True, False], ids=["flag", "no flag"])
@pytest.mark.parametrize("recording", ["b_success_flags", "h_ws_image"], ids=["conflated", "kept"])
def test_previews_are_replayed_in_the_form_that_the_page_asked_for(has_flag, recording, open_tab, relays):
    tab = open_tab(relays, has_flag=has_flag)
    tab.run = RecordedRun(tab.server, tab.sid, recording)
    tab.played(tab.run.after(4, nth=2))
    tab.go_in_time(tab.reload, with_flags=True)
    tab.expect_the_rest(tab.expect_whole_run())
    codes = {f[:len("binary 00000000")] for f in tab.page.frames() if f.startswith("binary")}
    assert codes == {"binary 00000004" if has_flag else "binary 00000001"}
