"""What the protocol says an array does: memories of bits and layer programs, without any timing."""

import itertools

import numpy as np

from xnorgrid.hw.protocol import Instruction
from xnorgrid.packing import pack, unpack, unpack_signed


def instructions(segment):
    size = Instruction.size // 8
    raw = segment.instructions
    return [
        Instruction.from_bits(int.from_bytes(raw[k : k + size], "little"))
        for k in range(0, len(raw), size)
    ]


class Machine:
    """One board: :meth:`load` a segment, :meth:`run` it."""

    def __init__(self, config):
        self.config = config
        self.weights = np.zeros((config.rows, config.weight_depth, config.lanes), np.uint8)
        self.presets = np.zeros((config.rows, config.preset_depth), np.int64)
        self.activations = np.zeros((config.cols, config.activation_depth, config.lanes), np.uint8)
        self.written = set()
        self.useful_lanes = 0

    def load(self, segment):
        config, words = self.config, segment.weights.shape[1]
        bits = unpack(segment.weights, config.lanes, words * config.lanes)
        where = slice(segment.weight_base, segment.weight_base + words)
        self.weights[:, where] = bits.reshape(config.rows, words, config.lanes)
        presets = unpack_signed(segment.presets, config.accumulator_bits)
        self.presets[:, segment.preset_base : segment.preset_base + presets.shape[1]] = presets
        self.instructions = instructions(segment)
        self.lanes = segment.lanes

    def run(self, passes, input_stride, output_stride):
        for k in range(passes):
            self.useful_lanes += self.config.cols * self.lanes
            for instruction in self.instructions:
                self.layer(instruction, k * input_stride, k * output_stride)
            assert [i.last for i in self.instructions] == [0] * (len(self.instructions) - 1) + [1]

    def layer(self, instruction, input_offset, output_offset):
        """Carry out the loops from the definition in hw/protocol.py, innermost level first."""
        counts = [level.count + 1 for level in instruction.level]
        words, rows, planes, windows_x, windows_y, tiles, columns, lines = counts
        strides, travelled = [], 0
        for k, count in enumerate(counts):
            strides.append((instruction.level[k].step + travelled) % (1 << 16))
            travelled += (count - 1) * strides[-1]
        weights, windows = words * rows, windows_x * windows_y
        # Back to the first words of the tile and of the layer.
        assert instruction.plane.preset == 0
        assert instruction.plane.weight == instruction.window.weight == -weights % (1 << 16)
        assert instruction.position.weight == -weights * tiles % (1 << 16)
        moves = tiles * (windows - 1) * instruction.window.preset
        presets = tiles * windows * planes + moves
        assert instruction.position.preset == -presets % (1 << 16)
        start = instruction.activation_base + instruction.pass_input * input_offset
        address = instruction.output_base + instruction.pass_output * output_offset
        inner = self._grid(counts[:2], strides[:2])
        for y, x in itertools.product(range(lines), range(columns)):
            results = []
            for tile in range(tiles):
                pooled = np.zeros((self.config.cols, self.config.rows), np.uint8)
                for window, (wy, wx) in enumerate(
                    itertools.product(range(windows_y), range(windows_x))
                ):
                    offset = sum(
                        index * strides[level]
                        for level, index in zip((7, 6, 5, 4, 3), (y, x, tile, wy, wx), strict=True)
                    )
                    # From its first preset a position moves on by one a plane, and back as told.
                    moved = tile * windows + window
                    back = instruction.window.preset * (moved - tile)
                    preset = (instruction.base.preset + moved * planes + back) % (1 << 16)
                    sums = self._sum(
                        (start + offset + inner) % (1 << 16),
                        [plane * strides[2] for plane in range(planes)],
                        instruction.base.weight + tile * weights,
                        preset,
                    )
                    pooled |= (sums < 0).astype(np.uint8)
                results.append(pooled)
                for _ in range(instruction.score_bits):
                    sums = 2 * sums
                    results.append(self._wrapped(sums) < 0)
            bits = np.concatenate(results, axis=1).astype(np.uint8)
            place = range(address, address + instruction.output_words)
            padded = np.zeros((self.config.cols, len(place) * self.config.lanes), np.uint8)
            kept = bits[:, : padded.shape[1]]
            padded[:, : kept.shape[1]] = kept
            self.activations[:, place.start : place.stop] = padded.reshape(
                self.config.cols, len(place), -1
            )
            self.written |= set(place)
            address += instruction.output_words + instruction.output_step
            if x == columns - 1:
                address += instruction.output_row_step
            address %= 1 << 16

    @staticmethod
    def _grid(counts, strides):
        """Offsets of all iterations, outer level first."""
        grid = np.zeros(1, np.int64)
        for count, stride in zip(counts, strides, strict=True):
            grid = (np.arange(count)[:, None] * stride + grid).ravel()
        return grid

    def _sum(self, addresses, planes, weight_base, preset):
        """Sums (cols, rows) of all planes, which the accumulator must hold at every beat."""
        weights = self.weights[None, :, weight_base : weight_base + len(addresses)]
        sums = np.zeros((self.config.cols, self.config.rows), np.int64) + self.presets[:, preset]
        for number, plane in enumerate(planes):
            if number:
                sums = 2 * sums + (self.presets[:, preset + number] & 1)
            activations = self.activations[:, None, (addresses + plane) % (1 << 16)]
            sums += (weights != activations).sum((2, 3))
            assert (self._wrapped(sums) == sums).all()
        return sums

    def _wrapped(self, sums):
        """What an accumulator holds of ``sums``."""
        half = 1 << (self.config.accumulator_bits - 1)
        return (sums + half) % (2 * half) - half

    def words(self, base, count):
        """Packed words (cols, count, bytes) from ``base`` on."""
        return pack(self.activations[:, base : base + count], self.config.lanes)[:, :, 0]


def carry_out(program, values):
    """Run whole passes of input ``values`` (N, size) through all segments and return the machine."""
    cols = program.config.cols
    machine = Machine(program.config)
    passes = len(values) // cols
    for index, image in enumerate(values):
        words = program.pack_images(image[None])[0]
        bits = unpack(words, program.config.lanes, program.input_words * program.config.lanes)
        start = program.input_base + index // cols * program.input_stride
        place = machine.activations[index % cols, start : start + program.input_words]
        place[:] = bits.reshape(place.shape)
    for segment in program.segments:
        machine.load(segment)
        machine.run(passes, program.input_stride, program.output_stride)
    return machine
