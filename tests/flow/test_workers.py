"""The queue number and the workers behind it."""
import contextlib
import json
import os
import signal
import time

import msgpack
import pytest
from farm import HOLD_AT, Worker, check_told_once, events_of
from recording import is_prompt_end, is_status, queue_number
from servers import ROOT, Relay, until


def share(publisher, worker, n, **more):
    publisher.emit("status", {"status": {"exec_info": {"queue_remaining": n}}}, worker=worker, **more)


def numbers(client):
    return [queue_number(m) for m in client.messages if is_status(m)]


def wait_number(client, n):
    client.wait(lambda: numbers(client)[-1:] == [n], f"the status {n}")


def errors(client):
    return [json.loads(m)["data"] for m in client.messages if isinstance(m, str) and m.startswith('{"type":"execution_error"')]


@pytest.fixture
def quick(redis_server):
    """Without a pause between statuses."""
    with Relay(redis_server, status__interval="0ms") as r:
        yield r


# ---- status ------------------------------------------------------------------------------------------------------

def test_status_is_the_sum_over_workers(quick, connect, publisher):
    client = connect("s", to=quick)
    for worker, n, total in [("w1", 2, 2), ("w2", 3, 5), (None, 1, 6), ("w1", 0, 4), ("w2", 0, 1)]:
        publisher.emit("status", {"status": {"exec_info": {"queue_remaining": n}}}, **({"worker": worker} if worker else {}))
        wait_number(client, total)
    assert numbers(client) == [0, 2, 5, 6, 4, 1]
    assert quick.metric("queue_remaining") == 1


def test_status_is_not_sent_when_the_sum_is_unchanged(quick, connect, publisher):
    client = connect("s", to=quick)
    for _ in range(3):
        share(publisher, "w1", 1)
    wait_number(client, 1)
    share(publisher, "w2", 0)
    share(publisher, "w1", 1)
    publisher.emit("mark", None, "s")
    client.wait_for('{"type":"mark"')
    assert numbers(client) == [0, 1]


def test_status_is_sent_at_most_once_in_its_interval(redis_server, connect, publisher):
    with Relay(redis_server, status__interval="400ms") as relay:
        client = connect("s", to=relay)
        begin = time.monotonic()
        for n in range(1, 101):
            share(publisher, "w1", n)
        wait_number(client, 100)
        at = [t for t, m in zip(client.times, client.messages) if is_status(m)][1:]
    # They were sent after the beginning, and the last one before it was received; what is received late tells no more.
    intervals = (at[-1] - begin + 0.01) / 0.4  # the relay's clock has whole milliseconds
    assert len(at) - 1 <= intervals, f"{len(at)} statuses in {intervals:.2f} intervals"


def test_prompts_end_has_a_status_of_its_own_before_executing_null(quick, connect, publisher):
    """Even when the number is what it was: frontends refresh their history on it."""
    client, other = connect("s", to=quick), connect("other", to=quick)
    share(publisher, "w1", 5)
    wait_number(client, 5)
    publisher.emit("execution_start", {"prompt_id": "p"}, "s")
    publisher.emit("execution_success", {"prompt_id": "p"}, "s")
    share(publisher, "w1", 5)
    publisher.emit("executing", {"node": None, "prompt_id": "p"}, "s")
    publisher.emit("mark", None)
    other.wait_for('{"type":"mark"')
    client.wait_for('{"type":"mark"')
    end = next(i for i, m in enumerate(client.messages) if is_prompt_end(m))
    assert is_status(client.messages[end - 1]) and queue_number(client.messages[end - 1]) == 5, client.messages
    assert numbers(client) == [0, 5, 5]
    assert numbers(other) == [0, 5], "a status of its own is for the session that ended only"


def test_status_with_an_interval_still_precedes_the_prompts_end(redis_server, connect, publisher):
    with Relay(redis_server, status__interval="10s") as relay:
        client = connect("s", to=relay)
        for n, kind, data in [(1, "execution_start", {"prompt_id": "p"}), (0, "execution_success", {"prompt_id": "p"})]:
            share(publisher, "w1", n)
            publisher.emit(kind, data, "s")
        share(publisher, "w1", 0)
        publisher.emit("executing", {"node": None, "prompt_id": "p"}, "s")
        client.wait_for('"node":null')
        assert is_status(client.messages[-2]) and queue_number(client.messages[-2]) == 0, client.messages


def test_new_socket_is_told_the_sum_at_once(quick, connect, publisher):
    share(publisher, "w1", 4)
    quick.wait_metric("queue_remaining", 4)
    assert numbers(connect("s", to=quick)) == [4]


# ---- the registry ------------------------------------------------------------------------------------------------

def test_workers_known_to_redis_are_read_at_the_start(redis_server, connect, publisher):
    publisher.heartbeat("w1", queue_remaining=2)
    publisher.heartbeat("w2", queue_remaining=3)
    with Relay(redis_server) as relay:
        until(lambda: relay.metric("workers") == 2, "both workers to be read")
        assert numbers(connect("s", to=relay)) == [5]


def test_garbage_in_the_registry_is_stepped_over(redis_server, connect, publisher):
    for i, junk in enumerate([b"", b"\xc1", b"text", msgpack.packb([1]), msgpack.packb({"boot": 5})]):
        redis_server.client.hset("comfy:workers", f"junk-{i}", junk)
    publisher.heartbeat("w1", queue_remaining=2)
    with Relay(redis_server) as relay:
        until(lambda: relay.metric("workers") == 1, "the good worker to be read")
        assert numbers(connect("s", to=relay)) == [2]


def test_registry_of_another_type_does_not_stop_the_relay(redis_server, connect, publisher):
    redis_server.client.set("comfy:workers", "not a hash")
    with Relay(redis_server) as relay:
        client = connect("s", to=relay)
        publisher.emit("x", 1, "s")
        client.wait_for('{"type":"x"')


def test_heartbeat_carries_the_share(quick, connect, publisher):
    client = connect("s", to=quick)
    publisher.heartbeat("w1", queue_remaining=3)
    wait_number(client, 3)
    assert quick.metric("workers") == 1


def test_worker_that_leaves_in_good_order_takes_its_share_along(quick, connect, publisher):
    client = connect("s", to=quick)
    publisher.heartbeat("w1", queue_remaining=3, sid="s", prompt_id="p")
    publisher.heartbeat("w2", queue_remaining=1)
    wait_number(client, 4)
    publisher.emit("execution_success", {"prompt_id": "p"}, "s", worker="w1")
    publisher.gone("w1")
    wait_number(client, 1)
    assert quick.metric("workers") == 1
    publisher.emit("mark", None, "s")
    client.wait_for('{"type":"mark"')
    assert errors(client) == [] and quick.metric("lost_workers_total") == 0, "it was not lost"


# ---- loss --------------------------------------------------------------------------------------------------------

def run_a_prompt(publisher, worker="w1", sid="s", boot="b1"):
    publisher.heartbeat(worker, boot, 1, sid, "p")
    publisher.emit("execution_start", {"prompt_id": "p", "timestamp": 1}, sid, worker=worker)
    publisher.emit("executing", {"node": "5", "display_node": "5", "prompt_id": "p"}, sid, worker=worker)


def lost_error(node="5"):
    return {"prompt_id": "p", "node_id": node, "node_type": "", "executed": [], "exception_message": "worker w1 was lost",
            "exception_type": "WorkerLost", "traceback": [], "current_inputs": {}, "current_outputs": {}}


def check_ended_once(client, publisher, relays, lost=1):
    client.wait_for('"node":null')
    for r in relays:
        until(lambda r=r: r.metric("lost_workers_total") == lost, "every relay to notice the loss")
    for r in relays * 5:  # turns of each loop, and of Redis, in which a second end could come
        r.get("/live")
        publisher.client.ping()
    publisher.emit("mark", None, "s")
    client.wait_for('{"type":"mark"')
    found = errors(client)
    assert len(found) == 1, f"{len(found)} errors: {found}"
    timestamp = found[0].pop("timestamp")
    assert found[0] == lost_error()
    assert abs(timestamp - time.time() * 1000) < 60_000, timestamp
    ends = [i for i, m in enumerate(client.messages) if is_prompt_end(m)]
    assert len(ends) == 1 and client.messages[ends[0]] == '{"type":"executing","data":{"node":null,"prompt_id":"p"}}'
    assert is_status(client.messages[ends[0] - 1]), "no status before the prompt's end"


def test_lost_workers_prompt_is_ended_exactly_once_by_two_relays(redis_server, connect, publisher):
    with Relay(redis_server, worker__timeout="700ms") as one, Relay(redis_server, worker__timeout="700ms") as two:
        client, other = connect("s", to=one), connect("other", to=two)
        run_a_prompt(publisher)
        client.wait_for('"node":"5"')
        check_ended_once(client, publisher, [one, two])
        wait_number(client, 0)
        wait_number(other, 0)
        assert errors(other) == []
        until(lambda: not redis_server.client.hexists("comfy:workers", "w1"), "its entry to be deleted")
        assert redis_server.client.get("comfy:lost:p") == b"1" and redis_server.client.ttl("comfy:lost:p") > 0


def test_prompts_of_many_workers_lost_at_one_moment_are_each_ended_once(redis_server, connect, publisher):
    """Both relays wake up to the loss of all of them together, so both try for each."""
    many = 40
    with Relay(redis_server, worker__timeout="1s") as one, Relay(redis_server, worker__timeout="1s") as two:
        clients = [connect(f"s{i}", to=(one, two)[i % 2]) for i in range(many)]
        for i in range(many):
            publisher.heartbeat(f"w{i}", "b", 1, f"s{i}", f"p{i}")
        for r in (one, two):
            r.wait_metric("workers", many)
            r.signal(signal.SIGSTOP)
        time.sleep(1.2)  # worker.timeout, in which nobody may do anything
        for r in (one, two):
            r.signal(signal.SIGCONT)
        for c in clients:
            c.wait_for('"node":null')
        for r in (one, two) * 5:  # turns of each loop, and of Redis, in which a second end could come
            r.get("/live")
            publisher.client.ping()
        publisher.emit("mark", None)
        for c in clients:
            c.wait_for('{"type":"mark"')
    assert [len(errors(c)) for c in clients] == [1] * many
    assert [sum(is_prompt_end(m) for m in c.messages) for c in clients] == [1] * many


def test_end_of_a_lost_workers_prompt_is_in_the_sessions_log(redis_server, connect, publisher):
    with Relay(redis_server, worker__timeout="500ms") as relay:
        client = connect("s", to=relay)
        run_a_prompt(publisher)
        client.wait_for('"node":null')
        log = [msgpack.unpackb(fields[b"e"]) for _, fields in redis_server.client.xrange("comfy:sid:{s}:log")]
    assert [e["type"] for e in log] == ["execution_error", "executing"], log


def test_worker_restart_ends_its_prompt_at_once(redis_server, connect, publisher):
    with Relay(redis_server, worker__timeout="60s") as relay:
        client = connect("s", to=relay)
        run_a_prompt(publisher, boot="b1")
        client.wait_for('"node":"5"')
        publisher.heartbeat("w1", "b2", 0)
        check_ended_once(client, publisher, [relay])
        wait_number(client, 0)
        assert redis_server.client.hexists("comfy:workers", "w1"), "the entry is the new one's"


def test_prompt_that_ended_is_not_ended_again_when_its_worker_is_lost(redis_server, connect, publisher):
    with Relay(redis_server, worker__timeout="500ms") as relay:
        client = connect("s", to=relay)
        run_a_prompt(publisher)
        publisher.emit("execution_success", {"prompt_id": "p"}, "s", worker="w1")
        publisher.emit("executing", {"node": None, "prompt_id": "p"}, "s", worker="w1")
        until(lambda: relay.metric("lost_workers_total") == 1, "the loss")
        publisher.emit("mark", None, "s")
        client.wait_for('{"type":"mark"')
        assert errors(client) == []
        assert sum(is_prompt_end(m) for m in client.messages) == 1


def test_prompt_whose_end_is_in_the_log_only_is_not_ended_again(redis_server, connect, publisher):
    """The relay was not there when it ended; the entry in Redis is stale."""
    publisher.heartbeat("w1", "b1", 1, "s", "p")
    publisher.script({"type": "execution_success", "sid": "s", "worker": "w1", "data": {"prompt_id": "p"}})
    with Relay(redis_server, worker__timeout="500ms") as relay:
        client = connect("s", to=relay)
        until(lambda: relay.metric("lost_workers_total") == 1, "the loss")
        until(lambda: not redis_server.client.hexists("comfy:workers", "w1"), "its entry to be deleted")
        publisher.emit("mark", None, "s")
        client.wait_for('{"type":"mark"')
        assert errors(client) == []


def test_worker_read_at_the_start_that_stays_silent_is_lost(redis_server, connect, publisher):
    publisher.heartbeat("w1", "b1", 2, "s", "p")
    with Relay(redis_server, worker__timeout="700ms") as relay:
        client = connect("s", to=relay)
        client.wait_for('"exception_type":"WorkerLost"')
        client.wait_for('"node":null')
        assert errors(client)[0]["node_id"] is None, "no executing node was ever seen here"
        wait_number(client, 0)


def test_any_event_of_a_worker_is_a_sign_of_life(redis_server, connect, publisher):
    with Relay(redis_server, worker__timeout="2s") as relay:
        client = connect("s", to=relay)
        run_a_prompt(publisher)
        until_then = time.monotonic() + 3
        while time.monotonic() < until_then:
            publisher.emit("progress", {"value": 1, "max": 2, "prompt_id": "p", "node": "5"}, "s", worker="w1")
            client.barrier()
        assert relay.metric("lost_workers_total") == 0 and errors(client) == []


def test_worker_that_never_sent_a_heartbeat_is_never_lost(redis_server, connect, publisher):
    with Relay(redis_server, worker__timeout="200ms", status__interval="0ms") as relay:
        client = connect("s", to=relay)
        share(publisher, "plain", 3)
        publisher.heartbeat("w1", queue_remaining=1)
        until(lambda: relay.metric("lost_workers_total") == 1, "the other one to be lost")
        wait_number(client, 3)


# ---- workers that are processes ------------------------------------------------------------------------------------

@pytest.fixture
def start_worker(redis_server):
    """start_worker(name) -> Worker; all are killed at the end."""
    workers = []

    def start_one(name):
        workers.append(Worker(redis_server, name))
        return workers[-1]

    yield start_one
    for w in workers:
        w.kill()


@pytest.fixture
def pair(redis_server):
    """pair(**options) -> two relays."""
    with contextlib.ExitStack() as stack:
        yield lambda **options: [stack.enter_context(Relay(redis_server, **options)) for _ in range(2)]


def in_mid_prompt(worker, sid, prompt, *seen_by):
    """It runs, and has told of a node."""
    worker.run(sid, prompt, HOLD_AT)
    assert worker.wait_told("held") == prompt
    told = f"<{sid}|{prompt}|2>"
    for client in seen_by:
        client.wait_for(told)
    return worker


def settle(publisher, clients, relays):
    """Whatever else could come has come."""
    for r in relays * 5:  # turns of each loop, and of Redis
        r.get("/live")
        publisher.client.ping()
    mark = f"mark-{time.monotonic()}"
    publisher.emit(mark, None)
    for c in clients:
        c.wait_for(mark)


def wait_ended(client, prompt):
    """The time when it was told."""
    end = '{"type":"executing","data":{"node":null,"prompt_id":"%s"}}' % prompt
    return client.times[client.wait_for(end)]


def test_killed_workers_session_is_told_once_within_the_timeout_and_a_second(pair, connect, publisher, start_worker):
    relays = pair(worker__timeout="2s")
    client, twin = connect("s", to=relays[0]), connect("t", to=relays[1])
    others = [connect(f"other-{i}", to=relays[i % 2]) for i in range(6)]
    in_mid_prompt(start_worker("survivor"), "t", "q", twin)
    worker = in_mid_prompt(start_worker("w1"), "s", "p", client).run("s", "next").run("s", "last")
    for c in (client, twin, *others):
        wait_number(c, 4)
    before = [len(numbers(c)) for c in others]

    killed_at = time.monotonic()
    worker.kill()
    took = wait_ended(client, "p") - killed_at
    settle(publisher, [client, twin, *others], relays)

    assert took < 3, f"{took:.2f} s with a timeout of 2 s"
    check_told_once(client, "p")
    end = next(i for i, m in enumerate(client.messages) if is_prompt_end(m))
    assert is_status(client.messages[end - 1]) and numbers(client)[-1] == 1
    assert [numbers(c)[n:] for c, n in zip(others, before)] == [[1]] * len(others), "one status each corrects the total"
    assert [errors(c) for c in (twin, *others)] == [[]] * 7
    assert [r.metric("lost_workers_total") for r in relays] == [1, 1]


@pytest.mark.parametrize("stopped", [0, 1])
def test_loss_is_told_once_whichever_relay_of_a_pair_publishes_it(pair, connect, publisher, start_worker, stopped):
    """The other one is stopped until the end is published, and then finds out for itself."""
    relays = pair(worker__timeout="2s")
    other = relays[1 - stopped]
    client = connect("s", to=relays[0])
    worker = in_mid_prompt(start_worker("w1"), "s", "p", client)
    for r in relays:
        r.wait_metric("workers", 1)
    relays[stopped].signal(signal.SIGSTOP)
    try:
        worker.kill()
        other.wait_log("prompt of a lost worker ended")
    finally:
        relays[stopped].signal(signal.SIGCONT)
    wait_ended(client, "p")
    until(lambda: all(r.metric("lost_workers_total") >= 1 for r in relays), "both to notice the loss")
    settle(publisher, [client], relays)
    check_told_once(client, "p")
    assert "prompt of a lost worker ended" not in relays[stopped].stderr
    assert numbers(client)[-1] == 0


def test_restart_in_mid_prompt_is_told_once_and_at_once(pair, connect, publisher, start_worker):
    relays = pair(worker__timeout="60s")
    client = connect("s", to=relays[0])
    in_mid_prompt(start_worker("w1"), "s", "p", client).kill()
    start_worker("w1").run("s", "next")
    wait_ended(client, "p")
    client.wait_for('"prompt_id":"next","mark":"<s|next|%d>"' % (len(events_of("s", "next")) - 1))
    settle(publisher, [client], relays)
    assert [e["prompt_id"] for e in errors(client)] == ["p"], errors(client)
    ends = [json.loads(m)["data"]["prompt_id"] for m in client.messages if is_prompt_end(m)]
    assert ends == ["p", "next"], ends
    assert [r.metric("lost_workers_total") for r in relays] == [1, 1]
    assert [r.metric("doubled_workers_total") for r in relays] == [0, 0]


def test_worker_that_leaves_in_mid_prompt_has_its_session_told_once_and_at_once(pair, connect, publisher, start_worker):
    """Nobody else would ever end that prompt."""
    relays = pair(worker__timeout="60s", status__interval="0ms")
    client, other = connect("s", to=relays[0]), connect("other", to=relays[1])
    worker = in_mid_prompt(start_worker("w1"), "s", "p", client).run("s", "next")
    wait_number(other, 2)
    worker.leave()
    wait_ended(client, "p")
    wait_number(other, 0)
    settle(publisher, [client, other], relays)
    check_told_once(client, "p")
    assert numbers(other)[-2:] == [2, 0]
    assert [r.metric("workers") for r in relays] == [0, 0]
    assert [r.metric("lost_workers_total") for r in relays] == [0, 0], "it said goodbye"


def test_lost_worker_that_lives_after_all_is_known_again_and_its_prompt_is_not_ended_twice(pair, connect, publisher, start_worker):
    relays = pair(worker__timeout="2s")
    client = connect("s", to=relays[0])
    worker = in_mid_prompt(start_worker("w1"), "s", "p", client)
    worker.stop()
    wait_ended(client, "p")
    until(lambda: all(r.metric("workers") == 0 for r in relays), "both to give it up")
    worker.wake()
    until(lambda: all(r.metric("workers") == 1 for r in relays), "both to know it again")
    wait_number(client, 1)
    publisher.client.delete("comfy:lost:p")  # as a minute later: only the session's log knows
    worker.kill()
    until(lambda: all(r.metric("lost_workers_total") >= 2 for r in relays), "both to notice the second loss")
    wait_number(client, 0)
    settle(publisher, [client], relays)
    check_told_once(client, "p")


def test_what_a_lost_worker_still_tells_when_it_lives_after_all_arrives(pair, connect, publisher, start_worker):
    relays = pair(worker__timeout="2s")
    client = connect("s", to=relays[0])
    worker = in_mid_prompt(start_worker("w1"), "s", "p", client)
    worker.stop()
    wait_ended(client, "p")
    until(lambda: all(r.metric("workers") == 0 for r in relays), "both to give it up")
    worker.wake()
    worker.go_on()
    assert worker.wait_told("done") == "p"
    worker.run("s", "next")
    client.wait_for('"mark":"<s|next|%d>"' % (len(events_of("s", "next")) - 1))
    settle(publisher, [client], relays)
    assert [e["prompt_id"] for e in errors(client)] == ["p"], errors(client)
    assert client.find('"mark":"<s|p|%d>"' % (len(events_of("s", "p")) - 1)) is not None
    assert min(r.metric("lost_workers_total") for r in relays) >= 1


def test_two_processes_with_one_id_end_none_of_each_others_prompts(redis_server, pair, connect, publisher, start_worker):
    """Their first change looks like a restart; here nobody executes then."""
    relays = pair(worker__timeout="60s", log__level="info")
    one, two = connect("s", to=relays[0]), connect("t", to=relays[1])
    workers = [start_worker("same"), start_worker("same")]
    with Relay(redis_server, worker__timeout="60s", log__level="info") as late:  # it reads the entry of either
        relays.append(late)
        for r in relays:
            r.wait_metric("doubled_workers_total", 2)
        known = [r.metric("lost_workers_total") for r in relays]
        in_mid_prompt(workers[0], "s", "p", one)
        in_mid_prompt(workers[1], "t", "q", two)
        seen = [r.metric("doubled_workers_total") for r in relays]
        for r, n in zip(relays, seen):
            r.wait_metric("doubled_workers_total", n + 6)
        for w in workers:
            w.go_on()
        one.wait_for('"mark":"<s|p|%d>"' % (len(events_of("s", "p")) - 1))
        two.wait_for('"mark":"<t|q|%d>"' % (len(events_of("t", "q")) - 1))
        settle(publisher, [one, two], relays)
        check_told_once(one, "p", is_lost=False)
        check_told_once(two, "q", is_lost=False)
        assert [r.metric("lost_workers_total") for r in relays] == known
        for r in relays:
            r.wait_log('msg="two processes have the same worker id" worker=same')
            assert r.stderr.count("two processes") <= 10, "it is told at a bounded rate"
            assert r.metric("workers") == 1


# ---- the user of the ACL that the documentation names --------------------------------------------------------------

def documented_rules():
    with open(os.path.join(ROOT, "adapters", "WORKERS.md"), encoding="utf-8") as f:
        line = next(line for line in f if line.startswith("    ACL SETUSER relay "))
    return line.replace(">PASSWORD", ">secret").split()[3:]


def test_documented_acl_is_enough_for_all_the_relay_does(redis_server, connect, publisher):
    redis_server.client.execute_command("ACL", "SETUSER", "relay", *documented_rules())
    url = f"redis://relay:secret@127.0.0.1:{redis_server.port}/0"
    publisher.heartbeat("known", "b1", 1)
    with Relay(url, worker__timeout="700ms", session__ttl="1s") as relay:
        relay.wait_ready()
        client, brief = connect("s", to=relay), connect("brief", to=relay)
        run_a_prompt(publisher)
        client.wait_for('"node":"5"')
        brief.close()
        until(lambda: b"comfy:sid:{brief}" not in redis_server.client.pubsub_channels(), "the channel to be left")
        check_ended_once(client, publisher, [relay], lost=2)
        until(lambda: not redis_server.client.hexists("comfy:workers", "w1"), "its entry to be deleted")
    assert [e for e in redis_server.client.execute_command("ACL", "LOG") if e[b"username"] == b"relay"] == []
