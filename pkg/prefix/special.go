package prefix

import "net/netip"

// Private returns the ranges that anybody may use inside of a network: RFC 1918,
// the shared space of carrier-grade NAT (RFC 6598), unique local addresses
// (RFC 4193). The caller owns the slice.
func Private() []netip.Prefix {
	return []netip.Prefix{
		v4(10, 0, 0, 0, 8),     // RFC 1918
		v4(100, 64, 0, 0, 10),  // RFC 6598
		v4(172, 16, 0, 0, 12),  // RFC 1918
		v4(192, 168, 0, 0, 16), // RFC 1918
		v6(0xfc, 0x00, 7),      // RFC 4193
	}
}

// Special returns the ranges that never are a client on the Internet:
// unspecified, loopback, link-local, multicast, reserved and broadcast
// addresses. The caller owns the slice.
func Special() []netip.Prefix {
	return []netip.Prefix{
		v4(0, 0, 0, 0, 8),                              // "this network", RFC 1122 3.2.1.3 and RFC 6890
		v4(127, 0, 0, 0, 8),                            // loopback, RFC 1122 3.2.1.3
		v4(169, 254, 0, 0, 16),                         // link-local, RFC 3927
		v4(224, 0, 0, 0, 4),                            // multicast, RFC 5771
		v4(240, 0, 0, 0, 4),                            // reserved, RFC 1112 4; with the broadcast 255.255.255.255, RFC 919
		netip.PrefixFrom(netip.IPv6Unspecified(), 128), // RFC 4291 2.5.2
		netip.PrefixFrom(netip.IPv6Loopback(), 128),    // RFC 4291 2.5.3
		v6(0xfe, 0x80, 10),                             // link-local, RFC 4291 2.5.6
		v6(0xff, 0x00, 8),                              // multicast, RFC 4291 2.7
	}
}

func v4(a, b, c, d byte, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{a, b, c, d}), bits)
}

func v6(a, b byte, bits int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom16([16]byte{a, b}), bits)
}
