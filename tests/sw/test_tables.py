from xnorgrid import tables

REPORT = {
    "model": "net",
    "board": "simulated (pysim, tiny)",
    "array": {"rows": 3, "cols": 2, "lanes": 5, "clock_hz": 48_000_000},
    "images": 1234,
    "accuracy": 0.98765,
    "bit_exact": True,
    "differing_scores": 0,
    "matches_pytorch": None,
    "cycles_per_image": 1234.56,
    "utilisation": 0.5,
    "useful_lanes": 10_000,
    "expected_lanes": 10_000,
    "operations_per_image": 92,
    "images_per_second_at_clock": 38_880.2,
    "load_seconds": 1.0,
    "run_seconds": 2.0,
    "images_per_second": 617.0,
    "array_seconds": 1.5,
    "images_per_second_without_link": 822.7,
    "predicted": {"cycles_per_image": 1234.5},
}


def test_measure_text():
    assert tables.measure_text(REPORT).splitlines() == [
        "model              net",
        "board              simulated (pysim, tiny)",
        "array              3 x 2 processing elements of 5 lanes",
        "images             1,234",
        "accuracy           98.77%",
        "bit-exact          yes: every score of every image equals the integer reference's",
        "cycles per image   1,234.6",
        "array utilisation  50.0% (10,000 useful lane-operations counted, 10,000 in the network)",
        "images/s, array    38,880 at 48 MHz",
        "images/s, here     617 with the link",
        "                   823 without (while the array ran: 1.50 s of 2.00 s)",
        "load               1.00 s",
    ]


def test_rates_that_were_too_short_to_measure():
    names = ("images_per_second", "images_per_second_without_link", "images_per_second_at_clock")
    text = tables.measure_text({**REPORT, **dict.fromkeys(names)})
    assert "images/s, array    - at 48 MHz\nimages/s, here     - with the link\n" in text


def test_bench_table_aligns_text_left_and_numbers_right():
    reports = [REPORT, {**REPORT, "model": "longer", "images": 5, "accuracy": None}]
    heading, columns, *rows = tables.bench_table(reports).splitlines()
    assert heading == "simulated (pysim, tiny): 3 x 2 x 5 lanes, 48 MHz"
    assert columns.startswith(
        "model   images  accuracy  exact  cycles/image  predicted  utilisation"
    )
    assert rows[0].startswith(
        "net      1,234  98.77%    yes         1,234.6    1,234.5        50.0%"
    )
    assert rows[1].startswith(
        "longer       5  -         yes         1,234.6    1,234.5        50.0%"
    )


def test_inspect_text():
    layer = {"name": "a", "op": "dense", "shape": [5, 12], "result": "bits", "inverted_channels": 2}
    report = {
        "name": "net",
        "input": {"shape": [3, 4], "kind": "threshold", "maximum": 16, "threshold": 6},
        "layers": [layer, {**layer, "name": "scores", "shape": [2, 5], "result": "scores"}],
        "classes": 2,
        "labels": [],
        "weight_bits": 70,
        "operations_per_image": 70,
        "provenance": {"epochs": 3},
        "on": {
            "tiny": {"fits": False, "why_not": "model 'net' does not fit"},
            "small": {
                "fits": True, "cycles_per_image": 9.25, "utilisation": 0.125,
                "images_per_second_at_clock": 5e6,
            },
        },
    }  # fmt: skip
    assert tables.inspect_text(report).splitlines() == [
        "model net: 70 weight bits, 70 XNORs per image",
        "input 3x4, pixel >= 6; classes 2",
        "",
        "layer   op     in  out  result  inverted",
        "a       dense  12    5  bits           2",
        "scores  dense   5    2  scores         2",
        "",
        "epochs: 3",
        "",
        "array  cycles/image  utilisation   images/s",
        "small           9.2        12.5%  5,000,000",
        "tiny: model 'net' does not fit",
    ]
