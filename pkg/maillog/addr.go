package maillog

import "net/netip"

// nameAddr reads NAME "[" ADDR "]" [":" PORT] at the start of b, as smtpd
// writes a client, and sets ClientName, Client and Port. "unknown" in the
// place of the address is accepted and leaves Client zero.
func nameAddr(b []byte, ev *Event) (rest []byte, ok bool) {
	n := peer(b, 0, ev)
	if n < 0 {
		i := nameLen(b)
		if i == 0 || !has(b[i:], "[unknown]") {
			return b, false
		}
		ev.set(ClientName, b[:i])
		ev.Client, ev.Port = netip.Addr{}, 0
		n = i + len("[unknown]")
	}
	if portless(b, n) {
		return b[n:], true
	}
	return port(b[n+1:], ev)
}

// psAddr reads "[" ADDR "]:" PORT, as postscreen and tlsproxy write a client.
func psAddr(b []byte, ev *Event) (rest []byte, ok bool) {
	a, n := bracketed(b, 0)
	if n == 0 || n >= len(b) || b[n] != ':' {
		return b, false
	}
	ev.Client = a
	return port(b[n+1:], ev)
}

// port reads 1 to 5 digits or "unknown".
func port(b []byte, ev *Event) (rest []byte, ok bool) {
	if has(b, "unknown") {
		return b[len("unknown"):], true
	}
	p, rest, ok := number(b)
	if !ok || p > 65535 || len(b)-len(rest) > 5 {
		return b, false
	}
	ev.Port = uint16(p)
	return rest, true
}

// parseAddr parses a whole slice as an address in the spelling that Postfix
// and Dovecot use: dotted quad without leading zeros, or lower-case IPv6
// without zone and without leading zeros. IPv4-mapped addresses are unmapped.
func parseAddr(b []byte) (netip.Addr, bool) {
	if v, n := scan4(b); n > 0 && n == len(b) {
		return netip.AddrFrom4(v), true
	}
	return parse6(b)
}

// scan4 reads a dotted quad at the start of b; n is its length, 0 when there
// is none.
func scan4(b []byte) (v [4]byte, n int) {
	i := 0
	for k := range 4 {
		if i >= len(b) {
			return v, 0
		}
		d := uint(b[i] - '0')
		if d > 9 {
			return v, 0
		}
		i++
		if d != 0 && i < len(b) { // a leading zero stands alone
			if c := uint(b[i] - '0'); c <= 9 {
				d = d*10 + c
				i++
				if i < len(b) {
					if c = uint(b[i] - '0'); c <= 9 {
						d = d*10 + c
						i++
					}
				}
			}
		}
		if d > 255 {
			return v, 0
		}
		v[k] = byte(d)
		if k < 3 {
			if i >= len(b) || b[i] != '.' {
				return v, 0
			}
			i++
		}
	}
	return v, i
}

// parse6 parses a whole slice as an IPv6 address.
func parse6(b []byte) (netip.Addr, bool) {
	var a [16]byte
	none := netip.Addr{}
	i, n, gap := 0, 0, -1
	if has(b, "::") {
		i, gap = 2, 0
	}
	for i < len(b) {
		if n == 16 {
			return none, false
		}
		start, v := i, uint32(0)
		for i < len(b) {
			d := hexValue[b[i]]
			if d > 15 {
				break
			}
			v = v<<4 | uint32(d)
			i++
		}
		if i < len(b) && b[i] == '.' { // a dotted quad may end it
			v4, m := scan4(b[start:])
			if m == 0 || start+m != len(b) || n > 12 {
				return none, false
			}
			copy(a[n:], v4[:])
			n += 4
			break
		}
		if i == start || i-start > 4 || i-start > 1 && b[start] == '0' {
			return none, false
		}
		a[n], a[n+1] = byte(v>>8), byte(v)
		n += 2
		if i == len(b) {
			break
		}
		if b[i] != ':' || i+1 == len(b) {
			return none, false
		}
		i++
		if b[i] == ':' {
			if gap >= 0 {
				return none, false
			}
			gap = n
			i++
		}
	}
	switch {
	case gap < 0 && n != 16, gap >= 0 && n == 16:
		return none, false
	case gap >= 0:
		copy(a[16-(n-gap):], a[gap:n])
		clear(a[gap : 16-(n-gap)])
	}
	return netip.AddrFrom16(a).Unmap(), true
}

// hexValue is the value of a lower-case hexadecimal digit, above 15 for any
// other byte.
var hexValue = func() (v [256]byte) {
	for c := range v {
		v[c] = 255
	}
	for i, c := range "0123456789abcdef" {
		v[c] = byte(i)
	}
	return v
}()
