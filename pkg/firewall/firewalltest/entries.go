package firewalltest

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/postmoat/postmoat/pkg/ban"
	"github.com/postmoat/postmoat/pkg/firewall"
	"github.com/postmoat/postmoat/pkg/maillog"
)

func testAddRemove(t *testing.T, s Suite) {
	b, m := s.up(t), book{}
	m.check(t, s, b)
	host := s.entry("192.0.2.7/32", maillog.SMTP, time.Hour)
	same := s.entry("192.0.2.7/32", maillog.Login, 2*time.Hour)
	net := s.entry("198.51.100.0/24", maillog.Login, time.Hour)
	host6 := s.entry("2001:db8:1:2::/64", maillog.SMTP, time.Hour)
	net6 := s.entry("2001:db8:7700::/40", maillog.SMTP, time.Hour)
	m.apply(t, b, ban.Change{Add: []ban.Entry{host, same, net, host6, net6}})
	m.check(t, s, b)

	// Empty, and again: no error, nothing changes.
	m.apply(t, b, ban.Change{})
	m.apply(t, b, ban.Change{Add: []ban.Entry{host}})
	m.check(t, s, b)

	// The same host at two doors is two entries.
	m.apply(t, b, ban.Change{Remove: []ban.Entry{host}})
	m.check(t, s, b)

	// What is gone does not keep the rest of a change from arriving.
	never := s.entry("203.0.113.0/28", maillog.SMTP, time.Hour)
	never6 := s.entry("2001:db8:9::/48", maillog.Login, time.Hour)
	fresh := s.entry("203.0.113.9/32", maillog.SMTP, time.Hour)
	m.apply(t, b, ban.Change{Add: []ban.Entry{fresh}, Remove: []ban.Entry{host, never, net6, never6}})
	m.check(t, s, b)

	// Refreshing what is gone puts it there, adding what is there refreshes it.
	host.Deadline += 3600
	net.Deadline += 7200
	m.apply(t, b, ban.Change{Add: []ban.Entry{net}, Refresh: []ban.Entry{host}})
	m.check(t, s, b)
	net.Deadline -= 8000
	m.apply(t, b, ban.Change{Add: []ban.Entry{net}})
	m.check(t, s, b)

	m.apply(t, b, ban.Change{Remove: m.entries()})
	m.check(t, s, b)
}

func testWidenSplit(t *testing.T, s Suite) {
	b, m := s.up(t), book{}
	var members, members6 []ban.Entry
	for _, p := range []string{"192.0.2.1/32", "192.0.2.77/32", "192.0.2.128/25", "192.0.2.96/28"} {
		members = append(members, s.entry(p, maillog.SMTP, time.Hour))
	}
	for _, p := range []string{"2001:db8:0:1::/64", "2001:db8:0:ff::/64", "2001:db8:0:80::/60", "2001:db8:0:2::1/128"} {
		members6 = append(members6, s.entry(p, maillog.SMTP, time.Hour))
	}
	members = append(members, members6...)
	wide := []ban.Entry{s.entry("192.0.2.0/24", maillog.SMTP, 2*time.Hour), s.entry("2001:db8::/56", maillog.SMTP, 2*time.Hour)}
	for range 3 {
		m.apply(t, b, ban.Change{Add: members})
		m.check(t, s, b)
		m.apply(t, b, ban.Change{Add: wide, Remove: members})
		m.check(t, s, b)
		m.apply(t, b, ban.Change{Add: members, Remove: wide})
		m.check(t, s, b)
		m.apply(t, b, ban.Change{Remove: members})
		m.check(t, s, b)
	}
}

func testEdges(t *testing.T, s Suite) {
	b, m := s.up(t), book{}
	var hosts []ban.Entry
	for _, p := range []string{
		"0.0.0.0/32", "0.0.0.1/32", "127.255.255.255/32", "128.0.0.0/32", "255.255.255.254/32", "255.255.255.255/32",
		"::/128", "::1/128", "::/64", "7fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "8000::/64", "8000::/128",
		"ffff:ffff:ffff:ffff::/64", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
	} {
		hosts = append(hosts, s.entry(p, maillog.SMTP, time.Hour), s.entry(p, maillog.Login, time.Hour))
	}
	m.apply(t, b, ban.Change{Add: hosts})
	m.check(t, s, b)
	m.apply(t, b, ban.Change{Remove: m.entries()})
	m.check(t, s, b)

	// Every length, at both ends, each alone: the wide ones overlap.
	for _, base := range []string{"0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		a := netip.MustParseAddr(base)
		step := a.BitLen() / 32
		for bits := 1; bits <= a.BitLen(); bits += step {
			p, _ := a.Prefix(bits)
			e := s.entry(p.String(), maillog.Login, time.Hour)
			m.apply(t, b, ban.Change{Add: []ban.Entry{e}})
			m.check(t, s, b)
			m.apply(t, b, ban.Change{Remove: []ban.Entry{e}})
		}
	}
	m.check(t, s, b)
}

func testBadEntries(t *testing.T, s Suite) {
	b, m := s.up(t), book{}
	good := s.entry("192.0.2.1/32", maillog.SMTP, time.Hour)
	for name, p := range map[string]netip.Prefix{
		"no prefix":   {},
		"host bits":   netip.PrefixFrom(netip.MustParseAddr("192.0.2.1"), 24),
		"IPv4-mapped": netip.PrefixFrom(netip.MustParseAddr("::ffff:192.0.2.1"), 128),
		"everything":  netip.MustParsePrefix("0.0.0.0/0"),
	} {
		bad := good
		bad.Prefix = p
		for _, c := range []ban.Change{{Add: []ban.Entry{good, bad}}, {Add: []ban.Entry{good}, Refresh: []ban.Entry{bad}}, {Add: []ban.Entry{good}, Remove: []ban.Entry{bad}}} {
			if err := b.Apply(t.Context(), c); !errors.Is(err, firewall.ErrBadEntry) {
				t.Errorf("%s: err = %v, want ErrBadEntry", name, err)
			}
		}
	}
	bad := good
	bad.Door = maillog.NumDoors
	if err := b.Apply(t.Context(), ban.Change{Add: []ban.Entry{good, bad}}); !errors.Is(err, firewall.ErrBadEntry) {
		t.Errorf("no such door: err = %v, want ErrBadEntry", err)
	}
	m.check(t, s, b)
	mapped := netip.PrefixFrom(netip.MustParseAddr("::ffff:192.0.2.1"), 128)
	if err := b.SetAllow(t.Context(), []netip.Prefix{mapped}); !errors.Is(err, firewall.ErrBadEntry) {
		t.Errorf("allowlist: err = %v, want ErrBadEntry", err)
	}
}

// testAllow: whatever the allowlist, bans are held as told.
func testAllow(t *testing.T, s Suite) {
	b, m := s.up(t, netip.MustParsePrefix("192.0.2.0/28")), book{}
	m.apply(t, b, ban.Change{Add: []ban.Entry{s.entry("192.0.2.0/24", maillog.SMTP, time.Hour)}})
	for _, list := range [][]string{
		{"192.0.2.0/25", "192.0.2.128/25", "192.0.2.7/32", "192.0.2.0/25"}, // adjacent, inside, twice
		{"0.0.0.0/32", "255.255.255.255/32", "255.255.255.0/24", "::/128", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"},
		{"0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"},
		{"0.0.0.0/0", "::/0", "192.0.2.0/24"},
		{},
		{"2001:db8::/32", "2001:db8::1/128"},
	} {
		var allow []netip.Prefix
		for _, p := range list {
			allow = append(allow, netip.MustParsePrefix(p))
		}
		if err := b.SetAllow(t.Context(), allow); err != nil {
			t.Errorf("allow %v: %v", list, err)
		}
		m.check(t, s, b)
	}
	// Large: a provider's whole list.
	var allow []netip.Prefix
	for i := range 5000 {
		allow = append(allow, netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 7), byte(i << 1)}), 32))
	}
	must(t, "large allowlist", b.SetAllow(t.Context(), allow))
	drift, err := b.Check(t.Context())
	must(t, "check", err)
	if len(drift.Missing) > 0 {
		t.Errorf("after SetAllow: %v", drift)
	}
}

func testRandom(t *testing.T, s Suite) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	b, m := s.up(t), book{}
	for step := range 150 {
		c := randomChange(rnd, m, s.Now())
		m.apply(t, b, c)
		if step%5 == 4 {
			m.check(t, s, b)
		}
	}
	m.check(t, s, b)
	drift, err := b.Check(t.Context())
	must(t, "check", err)
	if !drift.OK() {
		t.Errorf("check after our own changes: %+v", drift)
	}
}

// randomChange keeps the bans of each door disjoint, as a cover does.
func randomChange(rnd *rand.Rand, m book, now time.Time) ban.Change {
	var c ban.Change
	touched := make(map[firewall.Key]bool)
	for range rnd.IntN(20) {
		e := ban.Entry{Prefix: randomPrefix(rnd), Door: maillog.Door(rnd.IntN(int(maillog.NumDoors)))}
		e.Deadline = now.Unix() + 600 + rnd.Int64N(100_000)
		key := firewall.KeyOf(e)
		if touched[key] {
			continue
		}
		switch _, held := m[key]; {
		case held && rnd.IntN(2) == 0:
			c.Refresh = append(c.Refresh, e)
		case held:
			c.Remove = append(c.Remove, e)
		case rnd.IntN(10) == 0: // gone, or never there
			c.Remove = append(c.Remove, e)
		default:
			if slices.ContainsFunc(c.Add, func(o ban.Entry) bool { return o.Door == e.Door && o.Prefix.Overlaps(e.Prefix) }) {
				continue
			}
			c.Add = append(c.Add, e)
			for other, held := range m {
				if other.Door == e.Door && other.Prefix.Overlaps(e.Prefix) && !touched[other] {
					touched[other] = true
					c.Remove = append(c.Remove, held)
				}
			}
		}
		touched[key] = true
	}
	return c
}

func randomPrefix(rnd *rand.Rand) netip.Prefix {
	if rnd.IntN(2) == 0 {
		a := netip.AddrFrom4([4]byte{198, 51, 100, byte(rnd.IntN(64))})
		return netip.PrefixFrom(a, []int{22, 24, 26, 29, 31, 32, 32, 32, 32}[rnd.IntN(9)]).Masked()
	}
	a := [16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 6: byte(rnd.IntN(2)), 7: byte(rnd.IntN(32)), 15: byte(rnd.IntN(4))}
	return netip.PrefixFrom(netip.AddrFrom16(a), []int{47, 48, 56, 60, 64, 64, 64, 64, 127, 128}[rnd.IntN(10)]).Masked()
}

// Bulk is n distinct, disjoint entries of both families and five lengths, with
// deadlines some hours after now. The addresses are reserved ones (240.0.0.0/4
// and 2001:db8::/32): enough for some millions.
func Bulk(n int, now time.Time) []ban.Entry {
	all := make([]ban.Entry, n)
	for i := range all {
		e := &all[i]
		e.Door = maillog.Door(i / 5 % int(maillog.NumDoors))
		e.Until = now.Unix() + 3600 + int64(i%36000)
		e.Deadline = e.Until
		k := uint32(i / 5)
		switch i % 5 {
		case 0, 1:
			e.Prefix = netip.PrefixFrom(addr4(0xf0000000+uint32(i)), 32)
		case 2:
			e.Prefix = netip.PrefixFrom(addr4(0xf8000000+k<<8), 24)
		case 3:
			e.Prefix = netip.PrefixFrom(addr6(uint64(k)), 64)
		case 4:
			e.Prefix = netip.PrefixFrom(addr6(1<<31|uint64(k)<<8), 56)
		}
	}
	return all
}

func addr4(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], n)
	return netip.AddrFrom4(b)
}

// addr6 is the n-th /64 of 2001:db8::/32.
func addr6(n uint64) netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], 0x20010db8<<32|n)
	return netip.AddrFrom16(b)
}

func testLarge(t *testing.T, s Suite) {
	b, m := s.up(t), book{}
	all := Bulk(s.Large, s.Now())
	began := s.Now()
	m.apply(t, b, ban.Change{Add: all})
	took := s.Now().Sub(began)
	m.within(t, s, b, took)

	// A change of MaxTransaction: half new, a quarter refreshed, a quarter gone.
	n := min(firewall.MaxTransaction, s.Large)
	c := ban.Change{Refresh: slices.Clone(all[:n/4]), Remove: all[n/4 : n/2]}
	for i := range c.Refresh {
		c.Refresh[i].Deadline += 7200
	}
	for i := range n / 2 {
		a := netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		c.Add = append(c.Add, ban.Entry{Prefix: netip.PrefixFrom(a, 32), Door: maillog.SMTP, Deadline: s.Now().Unix() + 5000})
	}
	began = s.Now()
	m.apply(t, b, c)
	m.within(t, s, b, max(took, s.Now().Sub(began)))
	m.apply(t, b, ban.Change{Remove: m.entries()})
	m.check(t, s, b)
}

func testCounters(t *testing.T, s Suite) {
	b, m := s.up(t), book{}
	all := Bulk(1500, s.Now())
	m.apply(t, b, ban.Change{Add: all[:1000]})
	// Held and not held, of every length, in the order asked; and one of a
	// length that was never used.
	ask := append([]ban.Entry{s.entry("203.0.112.0/23", maillog.SMTP, time.Hour)}, all...)
	rand.Shuffle(len(ask), func(i, j int) { ask[i], ask[j] = ask[j], ask[i] })
	counters, err := b.Counters(t.Context(), ask)
	must(t, "counters", err)
	if len(counters) != len(ask) {
		t.Fatalf("%d counters for %d entries", len(counters), len(ask))
	}
	for i, e := range ask {
		if _, want := m[firewall.KeyOf(e)]; counters[i].Present != want {
			t.Fatalf("%v at %v: present = %v, want %v", e.Prefix, e.Door, counters[i].Present, want)
		}
		if counters[i].Packets != 0 {
			t.Fatalf("%v at %v: %d packets, and none was sent", e.Prefix, e.Door, counters[i].Packets)
		}
	}
	if none, err := b.Counters(t.Context(), nil); len(none) != 0 || err != nil {
		t.Errorf("no entries: %v, %v", none, err)
	}
}
