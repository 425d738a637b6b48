// Package cover is the collapse: it finds the cheapest set of disjoint prefixes
// that holds all offenders, where each prefix costs a price (a kernel entry)
// and each address in it that did not offend costs one.
//
// The search is exact: the offenders are the leaves of their tree of longest
// common prefixes, and a node of the tree is either one prefix or the best
// covers of its two halves, whichever is cheaper (Soldo, Markopoulou and
// Argyraki, "Optimal Filtering of Source Address Prefixes", INFOCOM 2009). It
// is one pass over the sorted keys with a stack of open nodes; no tree is
// built, and all arithmetic is on integers.
package cover

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
	"slices"
)

// A Key is what is covered: an IPv4 address in 32 bits, or an IPv6 /64 in 64
// bits, both in the order of the addresses.
type Key interface{ ~uint32 | ~uint64 }

// A Veto is a range of keys that no prefix wider than one key may touch: an
// allowlist entry or a known-good sender. ID is the caller's, who is told it in
// Why.
type Veto[K Key] struct {
	First, Last K // both included
	ID          int
}

// A Piece is one prefix of a cover. Its members are keys[Lo:Hi] of the keys
// that were solved.
type Piece[K Key] struct {
	Key    K // the first of the prefix
	Lo, Hi int32
	Bits   uint8 // the prefix length
}

// Members is the number of offenders in the piece.
func (p Piece[K]) Members() int { return int(p.Hi - p.Lo) }

// Last is the highest key of the piece.
func (p Piece[K]) Last() K { return p.Key | span[K](width[K](), int(p.Bits)) }

// Prefix returns the piece as a prefix of IPv4 or, for keys of 64 bits, IPv6.
func (p Piece[K]) Prefix() netip.Prefix {
	if width[K]() == 32 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(p.Key))
		return netip.PrefixFrom(netip.AddrFrom4(b), int(p.Bits))
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(p.Key))
	return netip.PrefixFrom(netip.AddrFrom16(b), int(p.Bits))
}

// Key4 is the key of an IPv4 address, which may be IPv4-mapped. It panics as
// netip.Addr.As4 does for any other.
func Key4(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}

// Key6 is the key of the /64 of an IPv6 address.
func Key6(a netip.Addr) uint64 {
	b := a.As16()
	return binary.BigEndian.Uint64(b[:])
}

// Veto4 is the veto that protects an IPv4 prefix.
func Veto4(p netip.Prefix, id int) Veto[uint32] {
	first := Key4(p.Addr()) &^ span[uint32](32, p.Bits())
	return Veto[uint32]{first, first | span[uint32](32, p.Bits()), id}
}

// Veto6 is the veto that protects an IPv6 prefix; one that is longer than a /64
// protects its whole /64.
func Veto6(p netip.Prefix, id int) Veto[uint64] {
	n := min(p.Bits(), 64)
	first := Key6(p.Addr()) &^ span[uint64](64, n)
	return Veto[uint64]{first, first | span[uint64](64, n), id}
}

// SortVetoes brings vetoes into the form that Solve wants, in place: sorted and
// disjoint. Where some overlap, the part in common goes to the one that starts
// first, of those to the longest, of those to the one with the lowest ID.
func SortVetoes[K Key](vs []Veto[K]) []Veto[K] {
	slices.SortFunc(vs, func(a, b Veto[K]) int {
		return cmp.Or(cmp.Compare(a.First, b.First), cmp.Compare(b.Last, a.Last), cmp.Compare(a.ID, b.ID))
	})
	out := vs[:0]
	for _, v := range vs {
		if n := len(out); n > 0 && v.First <= out[n-1].Last {
			if v.Last <= out[n-1].Last {
				continue
			}
			v.First = out[n-1].Last + 1
		}
		out = append(out, v)
	}
	return out
}

// width is the number of bits of the keys.
func width[K Key]() int { return bits.Len64(uint64(^K(0))) }

// span is the difference between the first and the last key of a prefix of n
// bits, in a universe of the given width: its host bits.
func span[K Key](width, n int) K {
	return K(uint64(math.MaxUint64) >> (64 - width) >> n)
}
