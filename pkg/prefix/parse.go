package prefix

import (
	"fmt"
	"net/netip"
	"strings"
)

// Parse reads a prefix in the form 192.0.2.0/24 or 2001:db8::/32. It refuses
// what is probably a slip: a bare address, host bits behind the prefix length,
// a zone, an IPv4-mapped address. The error says what to write instead.
func Parse(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := parseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		return netip.Prefix{}, fmt.Errorf("prefix %q has no length: write %s for this one address", s, Host(a))
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("%q is not a prefix like 192.0.2.0/24 or 2001:db8::/32%s", s, reason(err))
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return netip.Prefix{}, fmt.Errorf("prefix %q is IPv4-mapped: write the IPv4 prefix", s)
		}
		return netip.Prefix{}, fmt.Errorf("prefix %q is IPv4-mapped: write %s", s, Canonical(p))
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("prefix %q has host bits set: write %s", s, p.Masked())
	}
	return p, nil
}

// ParseAny reads a prefix as Parse does, or a bare address, which is the prefix
// that holds only this address.
func ParseAny(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		return Parse(s)
	}
	a, err := parseAddr(s)
	if err != nil {
		return netip.Prefix{}, err
	}
	return Host(a), nil
}

func parseAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return netip.Addr{}, fmt.Errorf("%q is not an address or prefix%s", s, reason(err))
	case a.Zone() != "":
		return netip.Addr{}, fmt.Errorf("address %q has a zone: write %s", s, a.WithZone(""))
	case a.Is4In6():
		return netip.Addr{}, fmt.Errorf("address %q is IPv4-mapped: write %s", s, a.Unmap())
	}
	return a, nil
}

// reason is what net/netip found wrong, without the input that it repeats.
func reason(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, "): "); i >= 0 {
		return ": " + text[i+3:]
	}
	if i := strings.LastIndex(text, "\": "); i >= 0 {
		return ": " + text[i+3:]
	}
	return ""
}
