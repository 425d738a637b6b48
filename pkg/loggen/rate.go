package loggen

import "net/netip"

// The mixes a, b and c: so many lines a second, of which a share is attack.

// A flow decides what comes next, so that the rate and the share hold.
type flow struct {
	*generator
	attack        func(now int64) bool // makes an attack session; false: there is none left
	made, offence int64                // lines queued: all, and of attack sessions
}

// begin makes the ordinary clients and starts the flow.
func (f *flow) begin() {
	f.mail = f.clients(3000, 0.97, f.anyAddr)
	f.users = f.clients(500, 0.6, f.anyAddr)
	f.at(f.first, f.next)
}

// next makes one session and comes back when its lines have had their time.
func (f *flow) next() {
	now := f.first + int64(float64(f.made)/f.o.Rate*second)
	if !f.wanted() || !f.account(true, func() bool { return f.attack(now) }) {
		f.account(false, func() bool { f.honest(now); return true })
	}
	f.at(f.first+int64(float64(f.made)/f.o.Rate*second), f.next)
}

// wanted says that the attack is behind its share.
func (f *flow) wanted() bool {
	return f.attack != nil && float64(f.offence) < f.o.Attack*float64(f.made+1)
}

// account adds the lines that make queues to the flow's.
func (f *flow) account(offence bool, make func() bool) bool {
	before := f.lines
	ok := make()
	n := f.lines - before
	f.made += n
	if offence {
		f.offence += n
	}
	return ok
}

// beginFlood is mix a: 180 hosts of five /24s and 20 of two /64s. 85 of 100
// sessions are bounces to unknown users.
func beginFlood(g *generator) {
	var hosts []client
	for range 5 {
		network := g.anyIPv4().String()
		for i := range 36 {
			hosts = append(hosts, g.attacker(host(network, 3+i*7), 0.5))
		}
	}
	for range 2 {
		if g.o.V6 == 0 {
			break
		}
		a := g.anyIPv6().As16()
		for i := range 10 {
			a[14], a[15] = byte(g.r.IntN(256)), byte(i+1)
			hosts = append(hosts, g.attacker(netip.AddrFrom16(a), 0.1))
		}
	}
	f := &flow{generator: g}
	f.attack = func(now int64) bool {
		c := hosts[g.r.IntN(len(hosts))]
		if g.r.IntN(100) < 85 {
			g.unknown(now, c)
		} else {
			g.attack(now, c)
		}
		return true
	}
	f.begin()
}

// beginBotnet is mix b: every bot tries three times, the second time after 20
// to 80 seconds, the third after 90 to 150.
func beginBotnet(g *generator) {
	f := &flow{generator: g}
	f.attack = func(now int64) bool {
		if g.o.Bots > 0 && g.truth.Bots == g.o.Bots {
			return false
		}
		g.truth.Bots++
		c := g.attacker(g.anyAddr(), 0.4)
		for _, t := range []int64{now + g.lag(20*second, 60*second), now + g.lag(90*second, 60*second)} {
			g.at(t, func() {
				f.account(true, func() bool { g.attack(t, c); return true })
			})
		}
		g.attack(now, c)
		return true
	}
	f.begin()
}

// beginClean is mix c.
func beginClean(g *generator) { (&flow{generator: g}).begin() }
