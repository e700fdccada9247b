// A board made of a verilated accelerator and the host's end of its UART, for use through ctypes.
//
// Time passes only inside board_run(): the same calls always give the same cycles.

#include <cstddef>
#include <cstdint>
#include <memory>

#include "Vaccelerator.h"
#include "verilated.h"

double sc_time_stamp() { return 0; }

namespace {

// Sends bytes as 8N1, least significant bit first.
struct Sender {
    uint32_t clocks_per_bit;
    uint32_t clocks_left = 0;
    uint32_t bits_left = 0;
    uint32_t shift = 1;

    bool idle() const { return bits_left == 0; }

    void start(uint8_t byte) {
        shift = (uint32_t(byte) << 1) | 0x200;
        bits_left = 10;
        clocks_left = clocks_per_bit;
    }

    uint8_t line() const { return idle() ? 1 : shift & 1; }

    void step() {
        if (idle() || --clocks_left != 0) return;
        shift >>= 1;
        bits_left--;
        clocks_left = clocks_per_bit;
    }
};

// Receives 8N1 and samples in the middle of each bit; a byte without a stop bit is dropped, as a real
// serial port would report it apart from the data.
struct Receiver {
    uint32_t clocks_per_bit;
    uint32_t clocks_left = 0;
    uint32_t bits_left = 0;
    uint32_t shift = 0;
    uint32_t quiet = 0;  // cycles since the last start bit or byte

    // Returns true when `shift` holds a new byte.
    bool step(uint8_t line) {
        if (bits_left == 0) {
            quiet++;
            if (line) return false;
            bits_left = 10;
            clocks_left = clocks_per_bit / 2;
        }
        quiet = 0;
        if (clocks_left != 0) {
            clocks_left--;
            return false;
        }
        clocks_left = clocks_per_bit - 1;
        bits_left--;
        if (bits_left == 9) {
            if (line) bits_left = 0;  // a glitch, no start bit
            return false;
        }
        if (bits_left != 0) {
            shift = (shift >> 1) | (uint32_t(line) << 7);
            return false;
        }
        return line;
    }
};

struct Board {
    VerilatedContext context;
    std::unique_ptr<Vaccelerator> top;
    Sender sender;
    Receiver receiver;

    explicit Board(uint32_t clocks_per_bit)
        : top(new Vaccelerator(&context)), sender{clocks_per_bit}, receiver{clocks_per_bit} {
        top->clk = 0;
        top->rst = 0;
        top->rx = 1;
        top->eval();
    }
};

}  // namespace

extern "C" {

void *board_create(uint32_t clocks_per_bit) { return new Board(clocks_per_bit); }

void board_destroy(void *handle) { delete static_cast<Board *>(handle); }

// Runs at most `cycles` clock cycles, sending the bytes at `send` and storing what arrives at `receive`;
// returns the cycles run. Returns early when `receive` is full, when all is sent (if `until_sent`), or when
// something was received and the line has been quiet for one byte (if `until_received`). `sent` and
// `received` count bytes handed to the line and bytes stored in this call.
uint64_t board_run(void *handle, uint64_t cycles, const uint8_t *send, size_t send_size, size_t *sent,
                   uint8_t *receive, size_t receive_size, size_t *received, int until_sent,
                   int until_received) {
    Board &board = *static_cast<Board *>(handle);
    Vaccelerator &top = *board.top;
    Sender sender = board.sender;
    Receiver receiver = board.receiver;
    const uint32_t quiet = 10 * receiver.clocks_per_bit;
    size_t out = 0, in = 0;
    uint64_t cycle = 0;
    while (cycle < cycles && in < receive_size) {
        if (sender.idle()) {
            if (out < send_size)
                sender.start(send[out++]);
            else if (until_sent)
                break;
        }
        top.rx = sender.line();
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
        cycle++;
        sender.step();
        if (receiver.step(top.tx)) receive[in++] = uint8_t(receiver.shift);
        if (until_received && in != 0 && receiver.quiet >= quiet) break;
    }
    board.sender = sender;
    board.receiver = receiver;
    *sent = out;
    *received = in;
    return cycle;
}

}  // extern "C"
