"""What the table of servers reads from wrk."""

import json

import pytest

import serving

OUTPUT = """Running 5s test @ http://127.0.0.1:8000
  1 threads and 8 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    15.10ms    9.02ms 120.11ms   95.20%
    Req/Sec   560.12     80.00   700.00     70.00%
  Latency Distribution
     50%   13.42ms
     75%   15.90ms
     90%   19.01ms
     99%    1.05s
  2794 requests in 5.00s, 801.11KB read
  Socket errors: connect 0, read 1, write 0, timeout 2
Requests/sec:    558.53
Transfer/sec:    160.15KB
statuses 2700 94 0
"""


def test_latency_throughput_and_failures_are_read_from_wrk() -> None:
    load = serving.read_wrk(OUTPUT, 8)
    assert load == serving.Load(8, 558.53, 13.42, pytest.approx(1050), ok=2700, busy=94, other=3)


def test_output_that_is_not_wrks_is_shown() -> None:
    with pytest.raises(SystemExit, match="unable to connect"):
        serving.read_wrk("unable to connect", 8)


@pytest.mark.parametrize(("many", "value"), [(False, 'a "b"'), (True, ['a "b"'])])
def test_a_request_holds_one_text(many: bool, value: object) -> None:
    contender = serving.Contender("x", (), "/classify", "input", many=many)
    assert json.loads(contender.body('a "b"')) == {"input": value}
