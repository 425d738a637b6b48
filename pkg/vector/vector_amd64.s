#include "textflag.h"

// func alike(a, b unsafe.Pointer, n, room int) bool
TEXT ·alike(SB), NOSPLIT, $0-33
	MOVQ      a+0(FP), SI
	MOVQ      b+8(FP), DI
	MOVQ      n+16(FP), CX
	MOVQ      room+24(FP), DX
	CMPB      ·fast(SB), $0
	JEQ       slow
	CMPQ      DX, $64
	JLT       slow
	VMOVDQU   (SI), Y0
	VMOVDQU   32(SI), Y1
	VPCMPEQB  (DI), Y0, Y0
	VPCMPEQB  32(DI), Y1, Y1
	VPMOVMSKB Y0, AX
	VPMOVMSKB Y1, DX
	VZEROUPPER
	SHLQ      $32, DX
	ORQ       DX, AX
	NOTQ      AX
	NEGQ      CX // by 64-n, modulo 64
	SHLQ      CX, AX
	TESTQ     AX, AX
	SETEQ     ret+32(FP)
	RET

slow:
	DECQ CX
	JLT  same
	MOVB (SI)(CX*1), AX
	CMPB AX, (DI)(CX*1)
	JEQ  slow
	MOVB $0, ret+32(FP)
	RET

same:
	MOVB $1, ret+32(FP)
	RET

// func stop(p unsafe.Pointer, n, room int) int
//
// '<' and '>', and ' ' and '"', differ in one and the same bit.
TEXT ·stop(SB), NOSPLIT, $0-32
	MOVQ         p+0(FP), SI
	MOVQ         n+8(FP), CX
	MOVL         $64, DI
	CMPB         ·fast(SB), $0
	JEQ          slow
	CMPQ         room+16(FP), $64
	JLT          slow
	MOVL         $0xfdfdfdfd, AX
	MOVQ         AX, X0
	VPBROADCASTD X0, Y0
	MOVL         $0x3c3c3c3c, AX
	MOVQ         AX, X1
	VPBROADCASTD X1, Y1
	MOVL         $0x20202020, AX
	MOVQ         AX, X2
	VPBROADCASTD X2, Y2
	VPAND        (SI), Y0, Y3
	VPAND        32(SI), Y0, Y4
	VPCMPEQB     Y3, Y1, Y5
	VPCMPEQB     Y3, Y2, Y3
	VPOR         Y3, Y5, Y3
	VPCMPEQB     Y4, Y1, Y5
	VPCMPEQB     Y4, Y2, Y4
	VPOR         Y4, Y5, Y4
	VPMOVMSKB    Y3, AX
	VPMOVMSKB    Y4, DX
	VZEROUPPER
	SHLQ         $32, DX
	ORQ          DX, AX
	TZCNTQ       AX, AX // 64 where there is none
	CMPQ         AX, CX
	CMOVQGE      DI, AX
	MOVQ         AX, ret+24(FP)
	RET

slow:
	CMPQ    CX, DI
	CMOVQGT DI, CX
	XORL    AX, AX

again:
	CMPQ    AX, CX
	JGE     none
	MOVBLZX (SI)(AX*1), BX
	ANDL    $0xfd, BX
	CMPL    BX, $0x3c
	JEQ     found
	CMPL    BX, $0x20
	JEQ     found
	INCQ    AX
	JMP     again

none:
	MOVL $64, AX

found:
	MOVQ AX, ret+24(FP)
	RET

// Bytes of names by their lower half: which upper halves go with it. 1: "-", ".";
// 2: digits; 4: A to O, a to o; 8: P to Z, "_"; 16: p to z.
DATA lower<>+0(SB)/8, $0x1e1e1e1e1e1e1e1a
DATA lower<>+8(SB)/8, $0x0c050504041c1e1e
GLOBL lower<>(SB), RODATA|NOPTR, $16

DATA upper<>+0(SB)/8, $0x1004080402010000
DATA upper<>+8(SB)/8, $0
GLOBL upper<>(SB), RODATA|NOPTR, $16

// What the digits of a number count for.
DATA weights<>+0(SB)/8, $0x00010a6400010a64
DATA weights<>+8(SB)/8, $0x00010a6400010a64
GLOBL weights<>(SB), RODATA|NOPTR, $16

DATA ones<>+0(SB)/8, $0x0001000100010001
DATA ones<>+8(SB)/8, $0x0001000100010001
GLOBL ones<>(SB), RODATA|NOPTR, $16

DATA most<>+0(SB)/8, $0x000000ff000000ff
DATA most<>+8(SB)/8, $0x000000ff000000ff
GLOBL most<>(SB), RODATA|NOPTR, $16

// The lowest byte of each number, the last first.
DATA bytes<>+0(SB)/8, $0x808080800004080c
DATA bytes<>+8(SB)/8, $0x8080808080808080
GLOBL bytes<>(SB), RODATA|NOPTR, $16

// func peer(p unsafe.Pointer, t *[81]quad) (name, all int, addr uint32)
TEXT ·peer(SB), NOSPLIT, $0-36
	MOVQ p+0(FP), SI
	MOVQ t+8(FP), DI

	// The name, up to the first byte that is none of it.
	MOVL           $0x0f0f0f0f, AX
	MOVQ           AX, X7
	VPBROADCASTD   X7, Y7
	VBROADCASTI128 lower<>(SB), Y6
	VBROADCASTI128 upper<>(SB), Y5
	VPXOR          Y4, Y4, Y4
	VMOVDQU        (SI), Y0
	VMOVDQU        32(SI), Y1
	VPSHUFB        Y0, Y6, Y2 // 0 for bytes of 0x80 and more
	VPSRLW         $4, Y0, Y0
	VPAND          Y7, Y0, Y0
	VPSHUFB        Y0, Y5, Y0
	VPAND          Y2, Y0, Y0
	VPCMPEQB       Y4, Y0, Y0
	VPSHUFB        Y1, Y6, Y2
	VPSRLW         $4, Y1, Y1
	VPAND          Y7, Y1, Y1
	VPSHUFB        Y1, Y5, Y1
	VPAND          Y2, Y1, Y1
	VPCMPEQB       Y4, Y1, Y1
	VPMOVMSKB      Y0, AX
	VPMOVMSKB      Y1, DX
	VZEROUPPER
	SHLQ           $32, DX
	ORQ            DX, AX
	TZCNTQ         AX, R8
	LEAQ           -1(R8), AX
	CMPQ           AX, $46
	JHI            none // also when it is empty, or has no end
	CMPB           (SI)(R8*1), $0x5b // "["
	JNE            none

	// The address: what is no digit in the 16 bytes from there.
	LEAQ     1(SI)(R8*1), SI
	MOVOU    (SI), X0
	MOVL     $0x30303030, AX
	MOVQ     AX, X1
	PSHUFD   $0, X1, X1
	MOVL     $0x09090909, AX
	MOVQ     AX, X2
	PSHUFD   $0, X2, X2
	MOVL     $0x2e2e2e2e, AX
	MOVQ     AX, X3
	PSHUFD   $0, X3, X3
	PCMPEQB  X0, X3
	PMOVMSKB X3, DX // dots
	PSUBB    X1, X0 // the digits as numbers
	PMINUB   X0, X2
	PCMPEQB  X0, X2
	PMOVMSKB X2, AX
	NOTL     AX
	ANDL     $0xffff, AX
	XORL     AX, DX // what is neither
	TZCNTL   AX, R9
	BLSRL    AX, AX
	TZCNTL   AX, R10
	BLSRL    AX, AX
	TZCNTL   AX, R11
	BLSRL    AX, AX
	TZCNTL   AX, R12
	JCS      none // there are fewer than four

	// Three dots and then "]". Where there is nothing but dots DX becomes 32.
	TZCNTL DX, DX
	CMPL   DX, R12
	JNE    none
	CMPB   (SI)(R12*1), $0x5d
	JNE    none

	// One less than the lengths: each is 0 to 2.
	LEAL 1(R8)(R12*1), BX
	SUBL R11, R12
	SUBL R10, R11
	SUBL R9, R10
	SUBL $2, R12
	SUBL $2, R11
	SUBL $2, R10
	SUBL $1, R9
	CMPL R9, $2
	JHI  none
	CMPL R10, $2
	JHI  none
	CMPL R11, $2
	JHI  none
	CMPL R12, $2
	JHI  none
	LEAL (R9)(R9*2), R9
	ADDL R10, R9
	LEAL (R9)(R9*2), R9
	ADDL R11, R9
	LEAL (R9)(R9*2), R9
	ADDL R12, R9
	SHLL $5, R9

	// Their digits, three each, and what they make.
	MOVOU     (DI)(R9*1), X1
	PSHUFB    X1, X0
	MOVOU     weights<>(SB), X1
	PMADDUBSW X1, X0
	MOVOU     ones<>(SB), X1
	PMADDWL   X1, X0
	MOVO      X0, X2
	MOVOU     most<>(SB), X1
	PCMPGTL   X1, X2
	MOVOU     16(DI)(R9*1), X1
	PCMPGTL   X0, X1
	POR       X1, X2
	PMOVMSKB  X2, AX
	TESTL     AX, AX
	JNZ       none
	MOVOU     bytes<>(SB), X1
	PSHUFB    X1, X0
	MOVQ      R8, name+16(FP)
	INCL      BX
	MOVQ      BX, all+24(FP)
	MOVL      X0, addr+32(FP)
	RET

none:
	MOVQ $0, name+16(FP)
	MOVQ $0, all+24(FP)
	MOVL $0, addr+32(FP)
	RET
