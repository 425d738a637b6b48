// Package vector compares, searches and reads short texts 64 bytes at a time,
// without a branch that depends on how long they are: lengths that come in no order
// are what no branch predictor foresees.
package vector

import "unsafe"

// width is how many bytes are looked at in one go: those behind the text are
// looked at too, and do not matter.
const width = 64

// Alike says whether the n bytes at a[i:] and at b[j:] are the same; n is 1 to 64,
// and both have so many. It is quick where the capacities of a and b leave 64 bytes
// there.
func Alike(a []byte, i int, b []byte, j, n int) bool {
	return alike(unsafe.Pointer(&a[i]), unsafe.Pointer(&b[j]), n, min(cap(a)-i, cap(b)-j))
}

// Begins is Alike for the n bytes at b[i:] and those at the start of text.
func Begins(b []byte, i int, text *[width]byte, n int) bool {
	return alike(unsafe.Pointer(&b[i]), unsafe.Pointer(text), n, cap(b)-i)
}

// Stop is how many bytes at b[i:], which has some, are in front of the first that is
// a bracket ("<", ">"), a blank or a double quote; 64 when there is none among the
// next 64, or none up to the end of b. It is quick where the capacity of b leaves 64
// bytes there.
func Stop(b []byte, i int) int {
	return stop(unsafe.Pointer(&b[i]), len(b)-i, cap(b)-i)
}

// Peer reads NAME "[" ADDR "]" at b[i:], where NAME is of letters, digits and
// "-._" and ADDR an IPv4 address as four decimal numbers without leading zeros. It
// returns the length of NAME, that of all, and the address. All is 0 when something
// else stands there, but also when this is no processor for it, when NAME is longer
// than 47 bytes, or when the capacity of b does not leave 64 bytes there.
func Peer(b []byte, i int) (name, all int, addr uint32) {
	if !fast || i > cap(b)-width {
		return 0, 0, 0
	}
	name, all, addr = peer(unsafe.Pointer(&b[:cap(b)][i]), &quads)
	if all > len(b)-i {
		return 0, 0, 0
	}
	return name, all, addr
}

// A quad says how to read four numbers of one to three digits each: where the
// digits are from, three for each number and nothing behind them, and the least
// that a number of so many digits is.
type quad struct {
	from  [16]byte
	least [4]uint32
}

// quads are those for numbers of all lengths.
var quads = func() (t [81]quad) {
	for i := range t {
		at := 0
		for k, n := range [4]int{i / 27, i / 9 % 3, i / 3 % 3, i % 3} { // one less than the lengths
			to := t[i].from[4*k : 4*k+4]
			to[0], to[1], to[2], to[3] = 0x80, 0x80, 0x80, 0x80
			for d := range n + 1 {
				to[2-n+d] = byte(at + d)
			}
			at += n + 2
			t[i].least[k] = [3]uint32{0, 10, 100}[n]
		}
	}
	return t
}()
