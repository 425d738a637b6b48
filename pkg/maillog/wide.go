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

// load is the word at the start of b, which holds at least eight bytes.
func load(b []byte) uint64 {
	return binary.LittleEndian.Uint64(b)
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
	for ; len(b)-i >= 8; i += 8 {
		if m := noName(load(b[i:])); m != 0 {
			return i + first(m)
		}
	}
	for i < len(b) && nameByte[b[i]] {
		i++
	}
	return i
}

// gather makes a number of eight bits of the bytes that are marked in m.
func gather(m uint64) uint64 {
	return (m >> 7) * 0x0102040810204080 >> 56
}

// quad reads "192.0.2.1" at b[i:] with "]" behind it: v is the address and n
// its length. n is 0 when there is none, or when b is too short to tell.
//
// Addresses have digits in all lengths, which no branch predictor foresees:
// so the dots are found first, then all four numbers are made without a
// branch.
func quad(b []byte, i int) (v uint32, n int) {
	var lo, hi uint64
	if len(b)-i >= 16 {
		lo, hi = load(b[i:]), load(b[i+8:])
	} else if k := i + 16 - len(b); k < 16 && len(b) >= 16 { // the end of a line
		lo, hi = load(b[len(b)-16:]), load(b[len(b)-8:])
		if k >= 8 {
			lo, hi = hi>>(8*(k&7)), 0
		} else {
			lo, hi = lo>>(8*(k&7))|hi<<(64-8*(k&7)), hi>>(8*(k&7))
		}
	} else {
		return 0, 0
	}
	lo ^= '0' * each
	m := gather(noDigit(lo)) | gather(noDigit(hi^'0'*each))<<8
	p1 := bits.TrailingZeros64(m)
	m &= m - 1
	p2 := bits.TrailingZeros64(m)
	m &= m - 1
	p3 := bits.TrailingZeros64(m)
	m &= m - 1
	p4 := bits.TrailingZeros64(m)
	t := b[i:]
	if m == 0 || p2 < 3 || p4 >= len(t) || t[p1] != '.' || t[p2] != '.' || t[p3] != '.' || t[p4] != ']' {
		return 0, 0
	}
	// Four bytes that end where a number ends; the first has no four.
	t = b[i-1:]
	d1, bad1 := octet(uint32(lo)<<(uint(32-8*p1)&31), p1)
	d2, bad2 := octet(last4(t, p2+1), p2-p1-1)
	d3, bad3 := octet(last4(t, p3+1), p3-p2-1)
	d4, bad4 := octet(last4(t, p4+1), p4-p3-1)
	if bad1|bad2|bad3|bad4 < 0 {
		return 0, 0
	}
	return d1<<24 | d2<<16 | d3<<8 | d4, p4
}

// last4 are the four bytes in front of b[end], with '0' taken off.
func last4(b []byte, end int) uint32 {
	return binary.LittleEndian.Uint32(b[end-4:]) ^ '0'*(each&0xffffffff)
}

// octet is the number of n digits in the highest bytes of x. bad is negative
// when it is none: no or too many digits, above 255, with a leading zero.
func octet(x uint32, n int) (v uint32, bad int) {
	x &= ^uint32(0) << (uint(32-8*n) & 31)
	v = x>>24 + (x>>16&0xff)*10 + (x>>8&0xff)*100
	return v, (n - 1) | (3 - n) | (255 - int(v)) | (int(v) - int(leastOf[n&3]))
}

// leastOf is the least number of so many digits.
var leastOf = [4]uint8{0, 0, 10, 100}

// decimal is the number of the first n digits of w, 1 to 8, with '0' taken
// off each.
func decimal(w uint64, n int) uint32 {
	w <<= uint(64-8*n) & 63
	w = w*10 + w>>8 // of each two digits, in every other byte
	const pair = 0x000000ff000000ff
	return uint32((w&pair*(100+1_000_000<<32) + w>>16&pair*(1+10_000<<32)) >> 32)
}
