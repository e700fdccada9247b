// DP16KD, the block RAM of the Lattice ECP5, as used by xnorgrid.hw.ecp5_memory and inferred by yosys: port A
// writes, port B reads, one clock, equal widths. From Lattice FPGA-TN-02204. Other uses, chip selects and contents
// other than zeros end the simulation. A read in the cycle of a write to the same word, of which nothing is
// promised, gives the old word inverted, so that nobody gets by with it.
module DP16KD #(
    parameter DATA_WIDTH_A = 18,
    parameter DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG",
    parameter REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC",
    parameter ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_A = "0b000",
    parameter CSDECODE_B = "0b000",
    parameter WRITEMODE_A = "NORMAL",
    parameter WRITEMODE_B = "NORMAL",
    parameter CLKAMUX = "CLKA",
    parameter CLKBMUX = "CLKB",
    parameter GSR = "ENABLED",
    parameter INITVAL_00 = 320'd0,
    parameter INITVAL_01 = 320'd0,
    parameter INITVAL_02 = 320'd0,
    parameter INITVAL_03 = 320'd0,
    parameter INITVAL_04 = 320'd0,
    parameter INITVAL_05 = 320'd0,
    parameter INITVAL_06 = 320'd0,
    parameter INITVAL_07 = 320'd0,
    parameter INITVAL_08 = 320'd0,
    parameter INITVAL_09 = 320'd0,
    parameter INITVAL_0A = 320'd0,
    parameter INITVAL_0B = 320'd0,
    parameter INITVAL_0C = 320'd0,
    parameter INITVAL_0D = 320'd0,
    parameter INITVAL_0E = 320'd0,
    parameter INITVAL_0F = 320'd0,
    parameter INITVAL_10 = 320'd0,
    parameter INITVAL_11 = 320'd0,
    parameter INITVAL_12 = 320'd0,
    parameter INITVAL_13 = 320'd0,
    parameter INITVAL_14 = 320'd0,
    parameter INITVAL_15 = 320'd0,
    parameter INITVAL_16 = 320'd0,
    parameter INITVAL_17 = 320'd0,
    parameter INITVAL_18 = 320'd0,
    parameter INITVAL_19 = 320'd0,
    parameter INITVAL_1A = 320'd0,
    parameter INITVAL_1B = 320'd0,
    parameter INITVAL_1C = 320'd0,
    parameter INITVAL_1D = 320'd0,
    parameter INITVAL_1E = 320'd0,
    parameter INITVAL_1F = 320'd0,
    parameter INITVAL_20 = 320'd0,
    parameter INITVAL_21 = 320'd0,
    parameter INITVAL_22 = 320'd0,
    parameter INITVAL_23 = 320'd0,
    parameter INITVAL_24 = 320'd0,
    parameter INITVAL_25 = 320'd0,
    parameter INITVAL_26 = 320'd0,
    parameter INITVAL_27 = 320'd0,
    parameter INITVAL_28 = 320'd0,
    parameter INITVAL_29 = 320'd0,
    parameter INITVAL_2A = 320'd0,
    parameter INITVAL_2B = 320'd0,
    parameter INITVAL_2C = 320'd0,
    parameter INITVAL_2D = 320'd0,
    parameter INITVAL_2E = 320'd0,
    parameter INITVAL_2F = 320'd0,
    parameter INITVAL_30 = 320'd0,
    parameter INITVAL_31 = 320'd0,
    parameter INITVAL_32 = 320'd0,
    parameter INITVAL_33 = 320'd0,
    parameter INITVAL_34 = 320'd0,
    parameter INITVAL_35 = 320'd0,
    parameter INITVAL_36 = 320'd0,
    parameter INITVAL_37 = 320'd0,
    parameter INITVAL_38 = 320'd0,
    parameter INITVAL_39 = 320'd0,
    parameter INITVAL_3A = 320'd0,
    parameter INITVAL_3B = 320'd0,
    parameter INITVAL_3C = 320'd0,
    parameter INITVAL_3D = 320'd0,
    parameter INITVAL_3E = 320'd0,
    parameter INITVAL_3F = 320'd0
) (
    input
        DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11, DIA12, DIA13,
        DIA14, DIA15, DIA16, DIA17, ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9,
        ADA10, ADA11, ADA12, ADA13, CSA0, CSA1, CSA2, CLKA, CEA, WEA, OCEA, RSTA, DIB0, DIB1,
        DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12, DIB13, DIB14, DIB15,
        DIB16, DIB17, ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8, ADB9, ADB10, ADB11,
        ADB12, ADB13, CSB0, CSB1, CSB2, CLKB, CEB, WEB, OCEB, RSTB,
    output
        DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12, DOA13,
        DOA14, DOA15, DOA16, DOA17, DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9,
        DOB10, DOB11, DOB12, DOB13, DOB14, DOB15, DOB16, DOB17
);
  wire [13:0] write_pins =
      {ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0};
  wire [13:0] read_pins =
      {ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0};
  wire [35:0] data = {
      DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5, DIB4,
      DIB3, DIB2, DIB1, DIB0, DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8,
      DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};

  // Address pins below a word's are its byte enables when writing.
  localparam BELOW = DATA_WIDTH_A == 36 ? 5 : DATA_WIDTH_A == 18 ? 4 : DATA_WIDTH_A == 9 ? 3
      : DATA_WIDTH_A == 4 ? 2 : DATA_WIDTH_A == 2 ? 1 : 0;
  wire [13:0] write_word = write_pins >> BELOW;
  wire [13:0] read_word = read_pins >> BELOW;
  wire [3:0] bytes = DATA_WIDTH_A == 36 ? write_pins[3:0]
      : DATA_WIDTH_A == 18 ? {2'b00, write_pins[1:0]} : 4'b0001;
  wire write = CEA & WEA;

  reg [DATA_WIDTH_A-1:0] memory [0:(1 << (14 - BELOW)) - 1];
  reg [DATA_WIDTH_A-1:0] array_out, registered_out;
  wire [35:0] word = REGMODE_B == "OUTREG" ? registered_out : array_out;
  assign {
      DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5, DOB4,
      DOB3, DOB2, DOB1, DOB0} =
      DATA_WIDTH_A == 36 ? word[35:18] : word[17:0];
  assign {
      DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5, DOA4,
      DOA3, DOA2, DOA1, DOA0} =
      DATA_WIDTH_A == 36 ? word[17:0] : 18'b0;

  localparam CONTENTS =
      INITVAL_00 | INITVAL_01 | INITVAL_02 | INITVAL_03 | INITVAL_04 | INITVAL_05 | INITVAL_06 |
      INITVAL_07 | INITVAL_08 | INITVAL_09 | INITVAL_0A | INITVAL_0B | INITVAL_0C | INITVAL_0D |
      INITVAL_0E | INITVAL_0F | INITVAL_10 | INITVAL_11 | INITVAL_12 | INITVAL_13 | INITVAL_14 |
      INITVAL_15 | INITVAL_16 | INITVAL_17 | INITVAL_18 | INITVAL_19 | INITVAL_1A | INITVAL_1B |
      INITVAL_1C | INITVAL_1D | INITVAL_1E | INITVAL_1F | INITVAL_20 | INITVAL_21 | INITVAL_22 |
      INITVAL_23 | INITVAL_24 | INITVAL_25 | INITVAL_26 | INITVAL_27 | INITVAL_28 | INITVAL_29 |
      INITVAL_2A | INITVAL_2B | INITVAL_2C | INITVAL_2D | INITVAL_2E | INITVAL_2F | INITVAL_30 |
      INITVAL_31 | INITVAL_32 | INITVAL_33 | INITVAL_34 | INITVAL_35 | INITVAL_36 | INITVAL_37 |
      INITVAL_38 | INITVAL_39 | INITVAL_3A | INITVAL_3B | INITVAL_3C | INITVAL_3D | INITVAL_3E |
      INITVAL_3F;

  integer i;
  initial begin
    for (i = 0; i < 1 << (14 - BELOW); i = i + 1) memory[i] = 0;
    array_out = 0;
    registered_out = 0;
    if (DATA_WIDTH_A != DATA_WIDTH_B || REGMODE_A != REGMODE_B || CONTENTS != 0
        || CLKAMUX != "CLKA" || CLKBMUX != "CLKB"
        || CSDECODE_A != "0b000" || CSDECODE_B != "0b000") begin
      $display("DP16KD is modelled with equal ports, no chip selects and zeros as contents");
      $finish;
    end
  end

  always @(posedge CLKB) begin
    if (write)
      for (i = 0; i < DATA_WIDTH_A; i = i + 1)
        if (bytes[i / 9]) memory[write_word][i] <= data[i];
    if (CEB) begin
      array_out <= memory[read_word];
      if (write && bytes != 0 && write_word == read_word) array_out <= ~memory[read_word];
    end
    if (OCEB) registered_out <= array_out;
  end
endmodule
