import textwrap

from xnorgrid import inspection_text, tables
from xnorgrid.columns import rate

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
    "passes": 617,
    "segments": 1,
    "counters": {"busy_cycles": 1_523_447},
    "predicted_cycles": 1_523_447,
    "cycles_outside_layers": 80,
    "layers": [
        {
            "name": "conv",
            "cycles_per_pass": 2400,
            "share": 0.972,
            "utilisation": 0.95,
            "reasons": [],
        },
        {
            "name": "scores",
            "cycles_per_pass": 69,
            "share": 0.028,
            "utilisation": 0.0725,
            "reasons": [
                "10 channels on 16 rows",
                "9 further bits of each score take 27 of 69 cycles",
            ],
        },
    ],
}
STREAMED = {
    **REPORT,
    "segments": 4,
    "streaming": {
        "segments": 2468, "streamed_bytes": 123_456, "array_seconds": 3.0, "waiting_seconds": 1.0,
    },
}  # fmt: skip


def test_measure_text():
    expected = """
    model              net
    board              simulated (pysim, tiny)
    array              3 x 2 processing elements of 5 lanes
    images             1,234
    accuracy           98.77%
    bit-exact          yes: every score of every image equals the integer reference's
    weights            resident
    cycles per image   1,234.6
    array utilisation  50.0% (10,000 useful lane-operations counted, 10,000 in the network)
    images/s, array    38,880 at 48 MHz
    images/s, here     617 with the link
                       823 without (while the array ran: 1.50 s of 2.00 s)
    load               1.00 s
    """
    assert tables.measure_text(REPORT) == textwrap.dedent(expected).strip()


def test_streamed_weights():
    line = "123,456 bytes for 2,468 runs of a segment; the array waited for the link in 25.0% of the time"
    text = tables.measure_text(STREAMED)
    assert f"weights            4 segments\nstreamed           {line}\n" in text
    assert tables.bench_text([STREAMED]).endswith(f"\nstreamed {line}")
    nothing = dict.fromkeys(STREAMED["streaming"], 0)
    assert "in 0.0% of the time" in tables.measure_text({**STREAMED, "streaming": nothing})


def test_rates_that_were_too_short_to_measure():
    names = ("images_per_second", "images_per_second_without_link", "images_per_second_at_clock")
    text = tables.measure_text({**REPORT, **dict.fromkeys(names)})
    assert "images/s, array    - at 48 MHz\nimages/s, here     - with the link\n" in text


def test_bench_text():
    compared = {"images": 2, "difference": None, "layers": [{"values": 1000}, {"values": 20}]}
    reports = [
        REPORT,
        {
            **REPORT, "model": "longer", "images": 5, "accuracy": None, "predicted_cycles": 9,
            "layers_compared": compared,
        },
    ]  # fmt: skip
    expected = """
    simulated (pysim, tiny): 3 x 2 x 5 lanes, 48 MHz; images/s at the clock, simulated, with the link
    model   images  accuracy  exact  weights   cycles/image  utilisation  at clock/s  simulated/s  with link/s
    net      1,234    98.77%  yes    resident       1,234.6        50.0%      38,880          823          617
    longer       5         -  yes    resident       1,234.6        50.0%      38,880          823          617

    net:
    layer   cycles/pass  share  utilisation  below 90 % because
    conv          2,400  97.2%        95.0%
    scores           69   2.8%         7.2%  10 channels on 16 rows
                                             9 further bits of each score take 27 of 69 cycles
    passes x cycles: 617 x 2,469 + 80 around runs = 1,523,447; the board counted as many

    longer:
    layer   cycles/pass  share  utilisation  below 90 % because
    conv          2,400  97.2%        95.0%
    scores           69   2.8%         7.2%  10 channels on 16 rows
                                             9 further bits of each score take 27 of 69 cycles
    passes x cycles: 617 x 2,469 + 80 around runs = 9; the board counted 1,523,447, which DIFFERS
    2 images layer by layer: all 1,020 values equal the reference's
    """
    assert tables.bench_text(reports) == textwrap.dedent(expected).strip()


def test_rates():
    assert [rate(value) for value in (None, 0.04, 9.94, 10, 12_345.6)] == [
        "-", "0.0", "9.9", "10", "12,346",
    ]  # fmt: skip


def test_bench_text_says_what_differs():
    difference = {"text": "layer 'conv', channel 3, row 1, column 2, image 0: reference 1, board 0"}
    compared = {"images": 2, "difference": difference, "layers": [{"values": 1000}]}
    text = tables.bench_text([{**REPORT, "bit_exact": False, "layers_compared": compared}])
    assert text.splitlines()[2].split()[:4] == ["net", "1,234", "98.77%", "NO"]
    assert text.endswith(
        "\n2 images layer by layer: first difference: layer 'conv', channel 3, row 1, column 2, image 0: "
        "reference 1, board 0"
    )


def test_inspect_text():
    conv = {
        "name": "a",
        "op": "conv",
        "shape": [8, 3, 2, 3],
        "input_shape": [9, 7, 3],
        "output_shape": [4, 3, 8],
        "stride": 2,
        "padding": [1, 0],
        "fill": 1,
        "pool": 2,
        "weight_bits": 1440,
        "operations": 70_000,
    }
    layers = [
        conv,
        {**conv, "name": "b", "padding": [1, 1], "fill": 0, "pool": 1},
        {**conv, "name": "c", "padding": [0, 0], "fill": -1},
        {
            "name": "scores",
            "op": "dense",
            "shape": [2, 96],
            "input_shape": [4, 3, 8],
            "output_shape": [2],
            "weight_bits": 192,
            "operations": 192,
        },
    ]
    uses = [{"cycles_per_pass": cycles, "utilisation": 0.5} for cycles in (10_000, 20, 30, 40)]
    array = {
        "rows": 4,
        "cols": 2,
        "lanes": 8,
        "clock_hz": 48_000_000,
        "link": "uart",
        "baud": 12_000_000,
    }
    small = {
        "fits": True,
        "array": array,
        "segments": 1,
        "images_per_run": 64,
        "cycles_per_image": 9.25,
        "utilisation": 0.125,
        "images_per_second_at_clock": 5e6,
        "streamed_bytes_per_run": 0,
        "images_per_second_on_link": 2e4,
        "layers": uses,
    }
    problems = [
        {"layer": "a", "problem": "too wide"},
        {"layer": "b", "problem": "too deep; or not"},
    ]
    report = {
        "name": "net",
        "input": {"shape": [9, 7, 3], "kind": "pixels", "maximum": 255, "threshold": 1},
        "layers": layers, "classes": 2, "labels": [], "has_affine": True,
        "weight_bits": 70, "operations_per_image": 70,
        "provenance": {"epochs": 3, "recipe": {"seed": 1, "words": " ".join(60 * ["x"])}},
        "on": {
            "tiny": {
                "fits": False, "problems": problems,
                "why_not": "cannot run it: layer 'a': too wide; layer 'b': too deep; or not",
            },
            "small": small,
            "sim": {
                **small, "array": {**array, "link": "fifo", "clock_hz": 24_000_000}, "segments": 12,
                "streamed_bytes_per_run": 123_456,
            },
            "none": {"fits": False, "problems": [], "why_not": "it is too large"},
        },
        "shown": "small",
    }  # fmt: skip
    expected = """
    model net: 70 weight bits, 70 XNORs per image
    input 9x7x3, pixels 0 … 255 with all of their bits; classes 2; a gain and an offset for each class
    cycles and utilisation are those of a pass of 2 images on small: 4 x 2 x 8 lanes

    layer   op     in     out    kernel  stride  padding    pool  weights  XNORs/image  cycles  utilisation
    a       conv   9x7x3  4x3x8  3x2          2  1x0 of +1  2x2     1,440       70,000  10,000        50.0%
    b       conv   9x7x3  4x3x8  3x2          2  1 of 0     -       1,440       70,000      20        50.0%
    c       conv   9x7x3  4x3x8  3x2          2  -          2x2     1,440       70,000      30        50.0%
    scores  dense  4x3x8  2      -            -  -          -         192          192      40        50.0%

    epochs: 3
    recipe: seed 1, words x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x
      x x x x x x x x x x x x x x x x x x

    array  weights      images/run  cycles/image  utilisation  images/s, array  bytes/run  images/s, link
    small  resident             64           9.2        12.5%        5,000,000          0          20,000
    sim    12 segments          64           9.2        12.5%        5,000,000    123,456          20,000
    at 24 MHz or 48 MHz, 12 Mbit/s (fifo) or 12 Mbit/s (uart); bytes/run are streamed weights
    tiny: cannot run it:
      layer 'a': too wide
      layer 'b': too deep; or not
    none: it is too large
    """
    assert inspection_text.inspect_text(report) == textwrap.dedent(expected).strip()
    nowhere = {**report, "on": {"none": report["on"]["none"]}, "shown": None, "has_affine": False}
    text = inspection_text.inspect_text(nowhere)
    assert text.splitlines()[:2] == [
        "model net: 70 weight bits, 70 XNORs per image",
        "input 9x7x3, pixels 0 … 255 with all of their bits; classes 2",
    ]
    assert "XNORs/image\n" in text and "cycles" not in text
