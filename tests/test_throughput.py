from realtime.throughput import Throughput


def test_it_is_what_left_in_the_last_second() -> None:
    now = 100.0
    throughput = Throughput(lambda: now)
    for _ in range(100):
        now += 0.02
        throughput.add(50)
    assert 8 * 50 * 49 <= throughput.bits <= 8 * 50 * 51
    now += 0.5
    assert 8 * 50 * 24 <= throughput.bits <= 8 * 50 * 26
    now += 1.0
    assert throughput.bits == 0


def test_nobody_needs_to_ask_for_old_packets_to_be_forgotten() -> None:
    now = 0.0
    throughput = Throughput(lambda: now)
    for _ in range(3600 * 50):  # the voice of an hour, whose throughput nobody wants to know
        now += 0.02
        throughput.add(120)
    assert len(throughput._sent) <= 51
