//go:build linux

package nftables

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/maillog"
)

// A slot is what shares one set: bans of one family, prefix length and door.
type slot struct {
	v6   bool
	bits int
	door maillog.Door
}

func slotOf(e ban.Entry) slot {
	return slot{e.Prefix.Addr().Is6(), e.Prefix.Bits(), e.Door}
}

// everywhere: see ban.Entry.Everywhere.
func (s slot) everywhere() bool {
	if s.v6 {
		return s.bits >= 64
	}
	return s.bits == 32
}

// width is the length of an address in bytes.
func (s slot) width() int {
	if s.v6 {
		return 16
	}
	return 4
}

func (s slot) family() string {
	if s.v6 {
		return "6"
	}
	return "4"
}

// set is the name of the set: smtp4_24.
func (s slot) set() string {
	return s.door.String() + s.family() + "_" + strconv.Itoa(s.bits)
}

// chain is where the set is looked up.
func (s slot) chain() string {
	if s.everywhere() {
		return chainHosts + s.family()
	}
	return s.door.String() + s.family()
}

// parseSlot is the inverse of set.
func parseSlot(name string) (slot, bool) {
	for door := range maillog.NumDoors {
		rest, ok := strings.CutPrefix(name, door.String())
		if !ok {
			continue
		}
		s := slot{door: door, v6: strings.HasPrefix(rest, "6_")}
		if len(rest) < 3 {
			return slot{}, false
		}
		bits, err := strconv.Atoi(rest[2:])
		s.bits = bits
		return s, err == nil && bits > 0 && bits <= 8*s.width() && s.set() == name
	}
	return slot{}, false
}

// key is the address of a prefix as an element's key.
func key(p netip.Prefix) (k [16]byte) {
	if p.Addr().Is4() {
		b := p.Addr().As4()
		copy(k[:], b[:])
		return k
	}
	return p.Addr().As16()
}

// prefix is the inverse of key, false for what none of our own entries looks
// like: a foreign hand's key with bits beyond the mask cuts nothing.
func (s slot) prefix(key []byte) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(key)
	p := netip.PrefixFrom(a, s.bits)
	return p, ok && a.Is6() == s.v6 && !a.Is4In6() && p == p.Masked()
}
