package score

import (
	"cmp"
	"encoding/binary"
	"net/netip"

	"github.com/postmoat/postmoat/pkg/wire"
)

// A key names a client within a store.
type key interface {
	comparable
	hash() uint64
	net(bits int) uint64 // the network of that length: IPv4 in the low, IPv6 in all 64 bits
	words() (hi, lo uint64)
	prefix() netip.Prefix
	encode(w *wire.Writer)
}

type (
	key4  uint32    // an IPv4 address
	key6  uint64    // an IPv6 /64
	key16 [2]uint64 // an IPv6 address
)

// mix is the finaliser of splitmix64. It has no secret, so that a replay is
// what the day was; what a hostile choice of addresses can cost is bounded by
// the longest probe (store.go).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (k key4) hash() uint64  { return mix(uint64(k)) }
func (k key6) hash() uint64  { return mix(uint64(k)) }
func (k key16) hash() uint64 { return mix(k[0] ^ mix(k[1])) }

func (k key4) net(bits int) uint64  { return uint64(k) & (^uint64(0) << (32 - bits)) }
func (k key6) net(bits int) uint64  { return uint64(k) & (^uint64(0) << (64 - bits)) }
func (k key16) net(bits int) uint64 { return k[0] & (^uint64(0) << (64 - bits)) }

func (k key4) words() (hi, lo uint64)  { return 0, uint64(k) }
func (k key6) words() (hi, lo uint64)  { return uint64(k), 0 }
func (k key16) words() (hi, lo uint64) { return k[0], k[1] }

func (k key4) prefix() netip.Prefix  { return network4(uint64(k), 32) }
func (k key6) prefix() netip.Prefix  { return network6(uint64(k), 64) }
func (k key16) prefix() netip.Prefix { return netip.PrefixFrom(addr6(k[0], k[1]), 128) }

func (k key4) encode(w *wire.Writer) { w.Fixed32(uint32(k)) }
func (k key6) encode(w *wire.Writer) { w.Fixed64(uint64(k)) }
func (k key16) encode(w *wire.Writer) {
	w.Fixed64(k[0])
	w.Fixed64(k[1])
}

func (key4) decode(r *wire.Reader) key4   { return key4(r.Fixed32()) }
func (key6) decode(r *wire.Reader) key6   { return key6(r.Fixed64()) }
func (key16) decode(r *wire.Reader) key16 { return key16{r.Fixed64(), r.Fixed64()} }

// compareKeys orders clients by their addresses.
func compareKeys[K key](a, b K) int {
	ah, al := a.words()
	bh, bl := b.words()
	if ah != bh {
		return cmp.Compare(ah, bh)
	}
	return cmp.Compare(al, bl)
}

func addr6(hi, lo uint64) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], hi)
	binary.BigEndian.PutUint64(b[8:], lo)
	return netip.AddrFrom16(b)
}

func network4(net uint64, bits int) netip.Prefix {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(net))
	return netip.PrefixFrom(netip.AddrFrom4(b), bits)
}

func network6(net uint64, bits int) netip.Prefix {
	return netip.PrefixFrom(addr6(net, 0), bits)
}

func addrKey4(a netip.Addr) key4 {
	b := a.As4()
	return key4(binary.BigEndian.Uint32(b[:]))
}

func addrKey16(a netip.Addr) key16 {
	b := a.As16()
	return key16{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (k key4) addr() netip.Addr { return k.prefix().Addr() }

// addr is the address of an addrKey16.
func (k key16) addr() netip.Addr { return addr6(k[0], k[1]).Unmap() }

// family says in which of the three stores a client key lives.
type family uint8

const (
	noFamily family = iota
	family4
	family6
	family16
)

// familyOf is the store of a client key; noFamily for what is none.
func familyOf(p netip.Prefix) family {
	a := p.Addr()
	switch {
	case a.Is4() && p.Bits() == 32: // nearly always
		return family4
	case !p.IsValid() || a.Is4In6():
		return noFamily
	case a.Is6() && p.Bits() == 64:
		return family6
	case a.Is6() && p.Bits() == 128:
		return family16
	}
	return noFamily
}

func comparePrefix(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return cmp.Compare(a.Bits(), b.Bits())
}

// fold is a value as it is kept: 32 bits, 0 for none.
func fold(v uint64) uint32 {
	f := uint32(v) ^ uint32(v>>32)
	if f == 0 && v != 0 {
		f = 1
	}
	return f
}

// clampTime is a time as it is kept.
func clampTime(t int64) uint32 {
	return uint32(min(max(t, 0), 1<<32-1))
}
