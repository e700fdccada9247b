// SDPX9B, a block RAM of the Gowin GW1N family with a write port A and a read port B, as used by
// xnorgrid.hw.gowin_memory and inferred by yosys: one clock, equal widths. From Gowin UG285. A read in the cycle
// of a write to the same word, of which nothing is promised, gives the old word inverted, so that nobody gets by
// with it.
module SDPX9B #(
    parameter READ_MODE = 1'b0,
    parameter BIT_WIDTH_0 = 36,
    parameter BIT_WIDTH_1 = 36,
    parameter BLK_SEL_0 = 3'b000,
    parameter BLK_SEL_1 = 3'b000,
    parameter RESET_MODE = "SYNC",
    parameter INIT_RAM_00 = 288'd0,
    parameter INIT_RAM_01 = 288'd0,
    parameter INIT_RAM_02 = 288'd0,
    parameter INIT_RAM_03 = 288'd0,
    parameter INIT_RAM_04 = 288'd0,
    parameter INIT_RAM_05 = 288'd0,
    parameter INIT_RAM_06 = 288'd0,
    parameter INIT_RAM_07 = 288'd0,
    parameter INIT_RAM_08 = 288'd0,
    parameter INIT_RAM_09 = 288'd0,
    parameter INIT_RAM_0A = 288'd0,
    parameter INIT_RAM_0B = 288'd0,
    parameter INIT_RAM_0C = 288'd0,
    parameter INIT_RAM_0D = 288'd0,
    parameter INIT_RAM_0E = 288'd0,
    parameter INIT_RAM_0F = 288'd0,
    parameter INIT_RAM_10 = 288'd0,
    parameter INIT_RAM_11 = 288'd0,
    parameter INIT_RAM_12 = 288'd0,
    parameter INIT_RAM_13 = 288'd0,
    parameter INIT_RAM_14 = 288'd0,
    parameter INIT_RAM_15 = 288'd0,
    parameter INIT_RAM_16 = 288'd0,
    parameter INIT_RAM_17 = 288'd0,
    parameter INIT_RAM_18 = 288'd0,
    parameter INIT_RAM_19 = 288'd0,
    parameter INIT_RAM_1A = 288'd0,
    parameter INIT_RAM_1B = 288'd0,
    parameter INIT_RAM_1C = 288'd0,
    parameter INIT_RAM_1D = 288'd0,
    parameter INIT_RAM_1E = 288'd0,
    parameter INIT_RAM_1F = 288'd0,
    parameter INIT_RAM_20 = 288'd0,
    parameter INIT_RAM_21 = 288'd0,
    parameter INIT_RAM_22 = 288'd0,
    parameter INIT_RAM_23 = 288'd0,
    parameter INIT_RAM_24 = 288'd0,
    parameter INIT_RAM_25 = 288'd0,
    parameter INIT_RAM_26 = 288'd0,
    parameter INIT_RAM_27 = 288'd0,
    parameter INIT_RAM_28 = 288'd0,
    parameter INIT_RAM_29 = 288'd0,
    parameter INIT_RAM_2A = 288'd0,
    parameter INIT_RAM_2B = 288'd0,
    parameter INIT_RAM_2C = 288'd0,
    parameter INIT_RAM_2D = 288'd0,
    parameter INIT_RAM_2E = 288'd0,
    parameter INIT_RAM_2F = 288'd0,
    parameter INIT_RAM_30 = 288'd0,
    parameter INIT_RAM_31 = 288'd0,
    parameter INIT_RAM_32 = 288'd0,
    parameter INIT_RAM_33 = 288'd0,
    parameter INIT_RAM_34 = 288'd0,
    parameter INIT_RAM_35 = 288'd0,
    parameter INIT_RAM_36 = 288'd0,
    parameter INIT_RAM_37 = 288'd0,
    parameter INIT_RAM_38 = 288'd0,
    parameter INIT_RAM_39 = 288'd0,
    parameter INIT_RAM_3A = 288'd0,
    parameter INIT_RAM_3B = 288'd0,
    parameter INIT_RAM_3C = 288'd0,
    parameter INIT_RAM_3D = 288'd0,
    parameter INIT_RAM_3E = 288'd0,
    parameter INIT_RAM_3F = 288'd0
) (
    input CLKA, CEA, CLKB, CEB, OCE, RESETA, RESETB,
    input [13:0] ADA, ADB,
    input [2:0] BLKSELA, BLKSELB,
    input [35:0] DI,
    output [35:0] DO
);
  // Address pins below a word's are its byte enables when writing.
  localparam BELOW = BIT_WIDTH_0 == 36 ? 5 : BIT_WIDTH_0 == 18 ? 4 : 3;
  wire [13:0] write_word = ADA >> BELOW;
  wire [13:0] read_word = ADB >> BELOW;
  wire [3:0] bytes = BIT_WIDTH_0 == 36 ? ADA[3:0] : BIT_WIDTH_0 == 18 ? {2'b00, ADA[1:0]} : 4'b0001;
  wire write = CEA & (BLKSELA == BLK_SEL_0);

  reg [BIT_WIDTH_0-1:0] memory [0:(1 << (14 - BELOW)) - 1];
  reg [BIT_WIDTH_0-1:0] array_out, registered_out;
  assign DO = READ_MODE ? registered_out : array_out;

  localparam CONTENTS =
      INIT_RAM_00 | INIT_RAM_01 | INIT_RAM_02 | INIT_RAM_03 | INIT_RAM_04 | INIT_RAM_05 |
      INIT_RAM_06 | INIT_RAM_07 | INIT_RAM_08 | INIT_RAM_09 | INIT_RAM_0A | INIT_RAM_0B |
      INIT_RAM_0C | INIT_RAM_0D | INIT_RAM_0E | INIT_RAM_0F | INIT_RAM_10 | INIT_RAM_11 |
      INIT_RAM_12 | INIT_RAM_13 | INIT_RAM_14 | INIT_RAM_15 | INIT_RAM_16 | INIT_RAM_17 |
      INIT_RAM_18 | INIT_RAM_19 | INIT_RAM_1A | INIT_RAM_1B | INIT_RAM_1C | INIT_RAM_1D |
      INIT_RAM_1E | INIT_RAM_1F | INIT_RAM_20 | INIT_RAM_21 | INIT_RAM_22 | INIT_RAM_23 |
      INIT_RAM_24 | INIT_RAM_25 | INIT_RAM_26 | INIT_RAM_27 | INIT_RAM_28 | INIT_RAM_29 |
      INIT_RAM_2A | INIT_RAM_2B | INIT_RAM_2C | INIT_RAM_2D | INIT_RAM_2E | INIT_RAM_2F |
      INIT_RAM_30 | INIT_RAM_31 | INIT_RAM_32 | INIT_RAM_33 | INIT_RAM_34 | INIT_RAM_35 |
      INIT_RAM_36 | INIT_RAM_37 | INIT_RAM_38 | INIT_RAM_39 | INIT_RAM_3A | INIT_RAM_3B |
      INIT_RAM_3C | INIT_RAM_3D | INIT_RAM_3E | INIT_RAM_3F;

  integer i;
  initial begin
    for (i = 0; i < 1 << (14 - BELOW); i = i + 1) memory[i] = 0;
    array_out = 0;
    registered_out = 0;
    if (BIT_WIDTH_0 != BIT_WIDTH_1 || CONTENTS != 0) begin
      $display("SDPX9B is modelled with ports of equal width and zeros as contents");
      $finish;
    end
  end

  always @(posedge CLKB) begin
    if (write)
      for (i = 0; i < BIT_WIDTH_0; i = i + 1)
        if (bytes[i / 9]) memory[write_word][i] <= DI[i];
    if (CEB & (BLKSELB == BLK_SEL_1)) begin
      array_out <= memory[read_word];
      if (write && bytes != 0 && write_word == read_word) array_out <= ~memory[read_word];
    end
    if (OCE) registered_out <= array_out;
    if (RESETB) begin
      array_out <= 0;
      registered_out <= 0;
    end
  end
endmodule
