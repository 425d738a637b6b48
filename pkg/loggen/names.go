package loggen

import (
	"fmt"
	"net/netip"
	"strconv"
)

// The words of the logs. Names end in those of RFC 2606.

func localParts() []string {
	return []string{
		"info", "sales", "john", "mary.smith", "bob", "support", "peter.mueller", "anna", "office", "k.jones", "billing",
		"root", "postmaster", "newsletter", "dev", "hr", "francois", "li.wei", "mike+lists", "no-reply",
	}
}

func hostDomains() []string {
	return []string{
		"example.com", "example.net", "example.org", "mail.example.com", "corp.example.net", "shop.example.org",
		"lists.example.com",
	}
}

func ourDomains() []string { return []string{"acme.test", "acme-mail.test", "hosting.test"} }

func otherDomains() []string {
	return []string{
		"gmail.test", "outlook.test", "yahoo.test", "proton.test", "t-online.test", "free.test", "163.test",
		"university-of-somewhere.test",
	}
}

func (g *generator) pick(a []string) string { return a[g.r.IntN(len(a))] }
func (g *generator) number(n int) string    { return strconv.Itoa(g.r.IntN(n)) }

// local is a mailbox of ours, other one elsewhere, missing none of ours.
func (g *generator) local() string { return g.pick(localParts()) + "@" + g.pick(ourDomains()) }
func (g *generator) other() string {
	return g.pick(localParts()) + g.number(9999) + "@" + g.pick(otherDomains())
}
func (g *generator) missing() string {
	return g.pick(localParts()) + g.number(99999) + "@" + g.pick(ourDomains())
}

const (
	hexDigits = "0123456789ABCDEF"
	// Digits of a long queue ID (Postfix 2.9, enable_long_queue_ids).
	longDigits = "0123456789BCDFGHJKLMNPQRSTVWXYZbcdfghjklmnpqrstvwxyz"
)

func (g *generator) digits(set string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = set[g.r.IntN(len(set))]
	}
	return string(b)
}

func (g *generator) hex(n int) string { return g.digits(hexDigits, n) }
func (g *generator) queueID() string  { return "4" + g.digits(longDigits, 13) }
func (g *generator) port() string     { return strconv.Itoa(1024 + g.r.IntN(60000)) }

// anyIPv4 is a unicast address, none that is private or special.
func (g *generator) anyIPv4() netip.Addr {
	for {
		a, b := byte(1+g.r.IntN(222)), byte(g.r.IntN(256))
		if a == 10 || a == 127 || a == 169 || a == 172 || a == 192 && b == 168 || a == 100 {
			continue
		}
		return netip.AddrFrom4([4]byte{a, b, byte(g.r.IntN(256)), byte(1 + g.r.IntN(254))})
	}
}

// anyIPv6 is a global unicast address, one in three with a short host part.
func (g *generator) anyIPv6() netip.Addr {
	b := [16]byte{0x20, byte(1 + g.r.IntN(4))}
	for i := 2; i < 8; i++ {
		b[i] = byte(g.r.IntN(256))
	}
	if g.r.IntN(3) == 0 {
		b[15] = byte(1 + g.r.IntN(200))
	} else {
		for i := 8; i < 16; i++ {
			b[i] = byte(g.r.IntN(256))
		}
	}
	return netip.AddrFrom16(b)
}

// anyAddr is IPv6 with the wanted share.
func (g *generator) anyAddr() netip.Addr {
	if g.r.Float64() < g.o.V6 {
		return g.anyIPv6()
	}
	return g.anyIPv4()
}

// benchAddr is an honest host of the committed logs: the lower half of the
// benchmark range (RFC 2544), or the documentation range's honest corner.
func (g *generator) benchAddr() netip.Addr {
	if g.r.IntN(10) == 0 {
		b := netip.MustParseAddr("2001:db8:a000::").As16()
		b[5], b[7], b[15] = byte(g.r.IntN(256)), byte(g.r.IntN(256)), byte(1+g.r.IntN(250))
		return netip.AddrFrom16(b)
	}
	return netip.AddrFrom4([4]byte{198, 18, byte(g.r.IntN(128)), byte(1 + g.r.IntN(254))})
}

// name gives an address a name, or with the share 1-known none.
func (g *generator) name(a netip.Addr, known float64) string {
	if g.r.Float64() > known {
		return "unknown"
	}
	if !a.Is4() {
		return fmt.Sprintf("mx%d.v6.%s", g.r.IntN(99), g.pick(otherDomains()))
	}
	b := a.As4()
	switch g.r.IntN(3) {
	case 0:
		return fmt.Sprintf("static-%d-%d-%d-%d.dsl.%s", b[0], b[1], b[2], b[3], g.pick(hostDomains()))
	case 1:
		return fmt.Sprintf("mail%d.%s", b[3], g.pick(otherDomains()))
	}
	return fmt.Sprintf("host%d.%s", b[3], g.pick(hostDomains()))
}

// clients makes n honest hosts.
func (g *generator) clients(n int, known float64, addr func() netip.Addr) []client {
	out := make([]client, n)
	for i := range out {
		a := addr()
		out[i] = client{addr: a, name: g.name(a, known)}
	}
	return out
}

// attacker makes a host that means ill.
func (g *generator) attacker(a netip.Addr, known float64) client {
	return client{addr: a, name: g.name(a, known), bad: true}
}

// host is the n-th address of a /24 or the like.
func host(network string, n int) netip.Addr {
	b := netip.MustParseAddr(network).As4()
	b[3] = byte(n)
	return netip.AddrFrom4(b)
}
