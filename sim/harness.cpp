// A board made of a verilated accelerator and the host's end of its line, for use through ctypes.
//
// Time passes only inside board_run(): the same calls always give the same cycles.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <utility>

#include "Vtop.h"
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

// The host's end of a line: `start` a byte when `idle`, `drive` the pins before the clock's edge, and after
// it `step`, which returns true when `byte` holds a new byte from the board.

struct UartLine {
    Sender sender;
    Receiver receiver;

    explicit UartLine(uint32_t byte_cycles) : sender{byte_cycles / 10}, receiver{byte_cycles / 10} {}

    bool idle() const { return sender.idle(); }
    void start(uint8_t byte) { sender.start(byte); }
    uint8_t byte() const { return uint8_t(receiver.shift); }
    uint32_t quiet() const { return receiver.quiet; }

    template <class Top> void drive(Top &top) { top.rx = sender.line(); }
    template <class Top> void sample(Top &) {}
    template <class Top> bool step(Top &top) {
        sender.step();
        return receiver.step(top.tx);
    }
};

// Offers a byte until it is taken and takes what it is offered, both in the same cycle if need be.
struct FifoLine {
    bool offered = false;
    bool taken = false;
    bool arrived = false;
    uint8_t outgoing = 0;
    uint8_t incoming = 0;
    uint32_t quiet_cycles = 0;

    explicit FifoLine(uint32_t) {}

    bool idle() const { return !offered; }
    void start(uint8_t byte) {
        outgoing = byte;
        offered = true;
    }
    uint8_t byte() const { return incoming; }
    uint32_t quiet() const { return quiet_cycles; }

    template <class Top> void drive(Top &top) {
        top.i___05Fvalid = offered;
        top.i___05Fpayload = outgoing;
        top.o___05Fready = 1;
    }
    template <class Top> void sample(Top &top) {
        taken = offered && top.i___05Fready;
        arrived = top.o___05Fvalid;
        incoming = top.o___05Fpayload;
    }
    template <class Top> bool step(Top &) {
        if (taken) offered = false;
        quiet_cycles = arrived ? 0 : quiet_cycles + 1;
        return arrived;
    }
};

template <class Top, class = void> struct LineOf {
    using type = FifoLine;
};
template <class Top> struct LineOf<Top, std::void_t<decltype(std::declval<Top>().rx)>> {
    using type = UartLine;
};
using Line = LineOf<Vtop>::type;

struct Board {
    VerilatedContext context;
    std::unique_ptr<Vtop> top;
    Line line;
    uint32_t byte_cycles;

    explicit Board(uint32_t byte_cycles) : line{byte_cycles}, byte_cycles{byte_cycles} {
        // What a netlist's memory cells hold before they are written: random, and the same each time.
        context.randReset(2);
        context.randSeed(1);
        top.reset(new Vtop(&context));
        top->clk = 0;
        top->rst = 0;
        line.drive(*top);
        top->eval();
    }
};

}  // namespace

extern "C" {

// `byte_cycles` is the time of a byte: on a UART of its ten bits, on a FIFO the silence that ends a reply.
void *board_create(uint32_t byte_cycles) { return new Board(byte_cycles); }

void board_destroy(void *handle) { delete static_cast<Board *>(handle); }

// Runs at most `cycles` clock cycles, sending the bytes at `send` and storing what arrives at `receive`;
// returns the cycles run. Returns early when `receive` is full, when all is sent (if `until_sent`), or when
// something was received and the line has been quiet for one byte (if `until_received`). `sent` and
// `received` count bytes handed to the line and bytes stored in this call.
uint64_t board_run(void *handle, uint64_t cycles, const uint8_t *send, size_t send_size, size_t *sent,
                   uint8_t *receive, size_t receive_size, size_t *received, int until_sent,
                   int until_received) {
    Board &board = *static_cast<Board *>(handle);
    Vtop &top = *board.top;
    Line line = board.line;
    size_t out = 0, in = 0;
    uint64_t cycle = 0;
    while (cycle < cycles && in < receive_size) {
        if (line.idle()) {
            if (out < send_size)
                line.start(send[out++]);
            else if (until_sent)
                break;
        }
        line.drive(top);
        top.clk = 0;
        top.eval();
        line.sample(top);
        top.clk = 1;
        top.eval();
        cycle++;
        if (line.step(top)) receive[in++] = line.byte();
        if (until_received && in != 0 && line.quiet() >= board.byte_cycles) break;
    }
    board.line = line;
    *sent = out;
    *received = in;
    return cycle;
}

}  // extern "C"
