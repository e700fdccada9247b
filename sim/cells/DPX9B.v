// DPX9B, a block RAM of the Gowin GW1N family with two ports, as inferred by yosys for a memory with a write port and
// a read port: one clock, equal widths, no output registers. From Gowin UG285. A port that writes keeps its output. A
// read in the cycle of the other port's write to the same word, of which nothing is promised, gives the old word
// inverted, so that nobody gets by with it.
module DPX9B #(
    parameter READ_MODE0 = 1'b0,
    parameter READ_MODE1 = 1'b0,
    parameter WRITE_MODE0 = 2'b00,
    parameter WRITE_MODE1 = 2'b00,
    parameter BIT_WIDTH_0 = 18,
    parameter BIT_WIDTH_1 = 18,
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
    input CLKA, CEA, WREA, RESETA, OCEA, CLKB, CEB, WREB, RESETB, OCEB,
    input [2:0] BLKSELA, BLKSELB,
    input [13:0] ADA, ADB,
    input [17:0] DIA, DIB,
    output reg [17:0] DOA, DOB
);
  // Address pins below a word's are its byte enables when writing.
  localparam BELOW = BIT_WIDTH_0 == 18 ? 4 : BIT_WIDTH_0 == 9 ? 3
      : BIT_WIDTH_0 == 4 ? 2 : BIT_WIDTH_0 == 2 ? 1 : 0;
  wire [13:0] word_a = ADA >> BELOW;
  wire [13:0] word_b = ADB >> BELOW;
  wire [1:0] bytes_a = BIT_WIDTH_0 == 18 ? ADA[1:0] : 2'b01;
  wire [1:0] bytes_b = BIT_WIDTH_0 == 18 ? ADB[1:0] : 2'b01;
  wire on_a = CEA & (BLKSELA == BLK_SEL_0);
  wire on_b = CEB & (BLKSELB == BLK_SEL_1);
  wire same = word_a == word_b;

  reg [BIT_WIDTH_0-1:0] memory [0:(1 << (14 - BELOW)) - 1];

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
    DOA = 0;
    DOB = 0;
    if (BIT_WIDTH_0 != BIT_WIDTH_1 || READ_MODE0 != 0 || READ_MODE1 != 0 || WRITE_MODE0 != 0
        || WRITE_MODE1 != 0 || CONTENTS != 0) begin
      $display("DPX9B is modelled with equal ports, no output registers, outputs that a write keeps and zeros as contents");
      $finish;
    end
  end

  always @(posedge CLKB) begin
    for (i = 0; i < BIT_WIDTH_0; i = i + 1) begin
      if (on_a && WREA && bytes_a[i / 9]) memory[word_a][i] <= DIA[i];
      if (on_b && WREB && bytes_b[i / 9]) memory[word_b][i] <= DIB[i];
    end
    if (on_a && !WREA) DOA <= on_b && WREB && same ? ~memory[word_a] : memory[word_a];
    if (on_b && !WREB) DOB <= on_a && WREA && same ? ~memory[word_b] : memory[word_b];
    if (RESETA) DOA <= 0;
    if (RESETB) DOB <= 0;
  end
endmodule
