package maillog

import (
	"encoding/binary"
	"math/bits"
)

// Eight bytes at a time: a word is eight bytes of a line, the first in its
// lowest bits. The tests below give a word with the high bit set in each byte
// that passes; [first] is the index of the first of them. No sum in them
// carries from one byte into the next, so all are exact.
const (
	each  = 0x0101010101010101
	highs = 0x80 * each
)

// load is the word at b[i:], which holds at least eight bytes.
func load(b []byte, i int) uint64 {
	return binary.LittleEndian.Uint64(b[i : i+8])
}

// first is the index of the first byte that is marked in m, 8 for none.
func first(m uint64) int {
	return bits.TrailingZeros64(m) >> 3
}

// equal marks the bytes of w that are c.
func equal(w uint64, c byte) uint64 {
	w ^= uint64(c) * each
	return ^((w&^highs + 0x7f*each) | w) & highs
}

// noDigit marks the bytes of w that are no decimal digits, for w with '0'
// taken off each byte (w ^ '0' * each).
func noDigit(w uint64) uint64 {
	return ((w&^highs + (0x80-10)*each) | w) & highs
}

// noAlnum marks the bytes of w that are no letters and no decimal digits.
func noAlnum(w uint64) uint64 {
	x := w &^ highs
	l := x | 0x20*each // lower case; what becomes a letter by it was one
	letter := (l + (0x80-'a')*each) &^ (l + (0x7f-'z')*each)
	digit := (x + (0x80-'0')*each) &^ (x + (0x7f-'9')*each)
	return (^(letter | digit) | w) & highs
}

// noName marks the bytes of w that cannot stand in a host name, see nameByte.
func noName(w uint64) uint64 {
	x := w &^ highs
	l := x | 0x20*each // lower case; what becomes a letter by it was one
	letter := (l + (0x80-'a')*each) &^ (l + (0x7f-'z')*each)
	digit := (x + (0x80-'-')*each) &^ (x + (0x7f-'9')*each) // and '-', '.', '/'
	slash := ^(x ^ '/'*each + 0x7f*each)
	underline := ^(x ^ '_'*each + 0x7f*each)
	return (^(letter | digit&^slash | underline) | w) & highs
}

// nameLen is how many bytes at the start of b can stand in a host name.
func nameLen(b []byte) int {
	i := 0
	for ; i+8 <= len(b); i += 8 {
		if m := noName(load(b, i)); m != 0 {
			return i + first(m)
		}
	}
	for i < len(b) && nameByte[b[i]] {
		i++
	}
	return i
}

// quad reads "192.0.2.1" at b[i:] with stop behind it: v is the address and n
// its length, 0 when there is none.
//
// Numbers of one to three digits come in no order that a branch predictor
// could foresee, so all is done without a branch but for the checks: each half
// of the address, with what ends it, fits into one word.
func quad(b []byte, i int, stop byte) (v uint32, n int) {
	end := len(b) - 8
	if i < 0 || i > end {
		return 0, 0
	}
	hi, m, bad1 := half(load(b, i))
	i += m
	at := min(i, end) // the end of a line
	lo, n, bad2 := half(load(b, at) >> uint(8*(i-at)))
	n += m
	if bad1|bad2 < 0 || b[i-1] != '.' || i-m+n-1 >= len(b) || b[i-m+n-1] != stop {
		return 0, 0
	}
	return hi<<16 | lo, n - 1
}

// half reads "192.0." at the start of w, with any byte in the place of the
// second dot: n is the length of it all, and bad is negative when it is not
// that.
func half(w uint64) (v uint32, n int, bad int64) {
	d := w ^ '0'*each
	m := noDigit(d)
	e1 := bits.TrailingZeros64(m) & 0x38 // in bits: where the first number ends
	m &= m - 1
	e2 := bits.TrailingZeros64(m) & 0x38 // and the second
	v1, bad1 := octet(d<<uint(64-e1), e1)
	l2 := e2 - e1 - 8
	v2, bad2 := octet(d>>uint((e1+8)&63)<<uint((64-l2)&63), l2)
	if m == 0 || byte(w>>uint(e1)) != '.' {
		bad1 = -1
	}
	return v1<<8 | v2, e2>>3 + 1, bad1 | bad2
}

// octet is the number whose digits fill the highest l bits of x. bad is
// negative when it is none: no or too many digits, above 255, with a leading
// zero.
func octet(x uint64, l int) (v uint32, bad int64) {
	digits := int64(bits.ReverseBytes64(x)) // one a byte
	least := int64(1) << uint((l-8)&63) &^ 1
	v = uint32(x>>40*(100<<16|10<<8|1)>>16) & 0xff
	return v, (0x020505 - digits) | (digits - least) | int64(l-8)
}

// decimal is the number of the first n digits of w, 1 to 8, with '0' taken
// off each.
func decimal(w uint64, n int) uint32 {
	w <<= uint(64-8*n) & 63
	w = w*10 + w>>8 // of each two digits, in every other byte
	const pair = 0x000000ff000000ff
	return uint32((w&pair*(100+1_000_000<<32) + w>>16&pair*(1+10_000<<32)) >> 32)
}
