#include "textflag.h"

// func scan(ends []uint32, data []byte, base uint32) int
//
// Whether 64 bytes hold a line feed is what no branch predictor foresees, so the
// places of the first two are always written, and only the third is asked for.
TEXT ·scan(SB), NOSPLIT, $0-64
	MOVQ ends_base+0(FP), DI
	MOVQ data_base+24(FP), SI
	MOVQ data_len+32(FP), CX
	MOVL base+48(FP), DX
	MOVQ DI, R8
	MOVL $0x0a, AX
	MOVQ AX, X0
	VPBROADCASTB X0, Y0
	SHRQ $6, CX
	JZ   done

loop:
	VPCMPEQB  (SI), Y0, Y1
	VPCMPEQB  32(SI), Y0, Y2
	VPMOVMSKB Y1, AX
	VPMOVMSKB Y2, BX
	SHLQ      $32, BX
	ORQ       BX, AX
	POPCNTQ   AX, R9
	TZCNTQ    AX, R10
	ADDL      DX, R10
	MOVL      R10, (DI)
	LEAQ      -1(AX), BX
	ANDQ      BX, AX
	TZCNTQ    AX, R10
	ADDL      DX, R10
	MOVL      R10, 4(DI)
	CMPQ      R9, $2
	JA        more

next:
	LEAQ (DI)(R9*4), DI
	ADDQ $64, SI
	ADDL $64, DX
	DECQ CX
	JNZ  loop

done:
	VZEROUPPER
	SUBQ R8, DI
	SHRQ $2, DI
	MOVQ DI, ret+56(FP)
	RET

more:
	LEAQ 8(DI), R11

again:
	LEAQ   -1(AX), BX
	ANDQ   BX, AX
	JZ     next
	TZCNTQ AX, R10
	ADDL   DX, R10
	MOVL   R10, (R11)
	ADDQ   $4, R11
	JMP    again
