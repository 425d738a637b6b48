#include "textflag.h"

// func scan(ends []uint32, data []byte, base uint32) int
//
// Whether 64 bytes hold a line feed is what no branch predictor foresees, so the
// place of the first is always written. That they hold more is rare.
TEXT ·scan(SB), NOSPLIT, $0-64
	MOVQ ends_base+0(FP), DI
	MOVQ data_base+24(FP), SI
	MOVQ data_len+32(FP), CX
	MOVL base+48(FP), DX
	XORL R9, R9
	SUBQ DX, SI // DX goes from base on, and is its own index
	ADDQ DX, CX
	CMPQ DX, CX
	JCC  done
	MOVL $0x0a, AX
	MOVQ AX, X0
	VPBROADCASTB X0, Y0

loop:
	VPCMPEQB  (SI)(DX*1), Y0, Y1
	VPCMPEQB  32(SI)(DX*1), Y0, Y2
	VPMOVMSKB Y1, AX
	VPMOVMSKB Y2, BX
	SHLQ      $32, BX
	ORQ       BX, AX
	TZCNTQ    AX, R10
	ADDL      DX, R10
	MOVL      R10, (DI)(R9*4)
	LEAQ      -1(AX), BX
	TESTQ     AX, BX
	JNE       more
	CMPQ      AX, $1
	SBBQ      $-1, R9 // one further unless there was none

next:
	ADDQ $64, DX
	CMPQ DX, CX
	JCS  loop

done:
	VZEROUPPER
	MOVQ R9, ret+56(FP)
	RET

more:
	INCQ R9
	ANDQ BX, AX

again:
	TZCNTQ AX, R10
	ADDL   DX, R10
	MOVL   R10, (DI)(R9*4)
	INCQ   R9
	LEAQ   -1(AX), BX
	ANDQ   BX, AX
	JNE    again
	JMP    next
