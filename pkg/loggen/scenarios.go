package loggen

import (
	"net/netip"
	"strconv"
)

// The mixes that each ask one question.

// beginRange: 200 hosts of one /24, each with three refused recipients an hour
// for four hours. No host reaches a limit of its own; the range does.
func beginRange(g *generator) {
	g.background(20*second, g.first+5*hour)
	for _, n := range g.r.Perm(254)[:200] {
		c := g.attacker(host("198.51.100.0", n+1), 0.5)
		for h := range int64(4) {
			for third := range int64(3) {
				t := g.first + 30*minute + h*hour + third*20*minute + g.r.Int64N(20*minute)
				g.at(t, func() { g.unknown(t, c) })
			}
		}
	}
}

// beginBackscatter: somebody forged our users as senders. 400 mail hosts, far
// from each other, return one to four bounces each, and retry each up to five
// times because a 450 says so.
func beginBackscatter(g *generator) {
	g.background(20*second, g.first+8*hour)
	for i := range 400 {
		c := client{addr: netip.AddrFrom4([4]byte{198, 19, byte(i % 256), byte(10 + i/256*100 + g.r.IntN(90))})}
		c.name = g.name(c.addr, 0.9)
		for range 1 + g.r.IntN(4) {
			to, t := g.missing(), g.first+g.r.Int64N(4*hour)
			for retry, left := int64(5*minute), 1+g.r.IntN(5); left > 0; left-- {
				g.at(t, func() {
					g.rejected(t, c, "reject", "450 4.1.1 <"+to+">: Recipient address rejected: User unknown in local recipient table; from=<> to=<"+to+"> proto=ESMTP helo=<"+c.name+">")
				})
				t += retry + g.r.Int64N(minute)
				retry *= 2
			}
		}
	}
}

// beginProvider: 24 hosts of one provider bring 6,000 messages in eight hours,
// and one in eleven recipients is gone.
func beginProvider(g *generator) {
	g.background(20*second, g.first+8*hour)
	var out []client
	for i := range 24 {
		out = append(out, client{addr: host("198.18.200.0", 33+i), name: "out" + strconv.Itoa(i+1) + ".bigmail.example"})
	}
	from := g.first + 10*minute
	for range 6000 {
		t := from + g.r.Int64N(7*hour+30*minute)
		g.at(t, func() { g.inbound(t, out[g.r.IntN(len(out))], g.local()) })
	}
	for range 600 {
		t := from + g.r.Int64N(7*hour+30*minute)
		g.at(t, func() { g.typo(t, out[g.r.IntN(len(out))]) })
	}
}

// beginForwarder: a server hands on what its users get, spam in waves of eight
// within five minutes, its sender on a blocklist or forged, among six times as
// much wanted mail; a list writes to fifty subscribers every four minutes.
func beginForwarder(g *generator) {
	g.background(60*second, g.first+day)
	alumni := client{addr: host("198.18.210.0", 20), name: "mail.alumni.example"}
	list := client{addr: host("198.18.211.0", 40), name: "lists.example"}
	until := g.first + day
	g.repeat(g.first+10*minute, 30*second, until, func(t int64) { g.inbound(t, alumni, g.local()) })
	g.repeat(g.first+hour, 20*minute, until, func(t int64) {
		for i := range int64(8) {
			g.at(t+i*35*second, func() { g.forwarded(t+i*35*second, alumni, i%2 == 0) })
		}
	})
	gone := g.missing()
	g.repeat(g.first, 4*minute, until, func(t int64) { g.posted(t, list, gone) })
}

// forwarded is spam that a forwarder hands on and that is refused.
func (g *generator) forwarded(t int64, c client, listed bool) {
	from, to := g.missing(), g.local()
	why, text := "forged", "550 5.1.0 <"+from+">: Sender address rejected: User unknown in virtual mailbox table"
	if listed {
		from = g.other()
		why, text = "rhsbl", "554 5.7.1 Service unavailable; Sender address ["+from+"] blocked using dbl.example"
	}
	g.rejected(t, c, why, text+"; from=<"+from+"> to=<"+to+"> proto=ESMTP helo=<mail.alumni.example>")
}

// posted is a message to fifty subscribers, one of whom is gone.
func (g *generator) posted(t int64, c client, gone string) {
	d, q := "postfix/smtpd["+g.take(&g.smtpd, t, t+second)+"]: ", g.queueID()
	g.put(t, d+"connect from "+c.String())
	g.mark(t+100, accepted, c, d+q+": client="+c.String())
	g.mark(t+200, "stale", c, d+q+": reject: RCPT from "+c.String()+": 550 5.1.1 <"+gone+">: Recipient address rejected: User unknown in virtual mailbox table; from=<talk-bounces@lists.example> to=<"+gone+"> proto=ESMTP helo=<lists.example>")
	g.put(t+600, "postfix/qmgr["+strconv.Itoa(g.daemon)+"]: "+q+": from=<talk-bounces@lists.example>, size=4711, nrcpt=49 (queue active)")
	g.put(t+900, d+"disconnect from "+c.String()+" ehlo=1 mail=1 rcpt=49/50 data=1 quit=1 commands=53/54")
}

// beginPhones: in a dozen households the mail program works and the phone has
// an old password, which it tries every five to fifteen minutes all day long.
// Trains go through tunnels in between.
func beginPhones(g *generator) {
	g.background(60*second, g.first+day)
	users := []string{"anna", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy", "mallory", "oscar"}
	for i, name := range users {
		c := client{addr: host("198.18.220.0", 10+i*9), name: "unknown"}
		user := name + "@acme.test"
		g.repeat(g.first+g.r.Int64N(10*minute), 40*minute, g.first+day, func(t int64) { g.imap(t, c, user) })
		g.repeat(g.first+hour+g.r.Int64N(10*minute), 10*minute, g.first+day, func(t int64) {
			if i%3 == 0 {
				g.oldSubmission(t, c, user)
			} else {
				g.oldIMAP(t, c, user)
			}
		})
		g.repeat(g.first+g.r.Int64N(3*hour), 3*hour, g.first+day, func(t int64) { g.hiccup(t, c) })
	}
}

// oldIMAP is an IMAP login with an old password.
func (g *generator) oldIMAP(t int64, c client, user string) {
	g.mark(t, "old_password", c, "dovecot: imap-login: Disconnected: Aborted login by logging out (auth failed, 1 attempts in 2 secs): user=<"+user+">, method=PLAIN, rip="+c.addr.String()+", lip=192.0.2.25, TLS, session=<"+g.hex(16)+">")
}

// oldSubmission is a message that is not sent for an old password.
func (g *generator) oldSubmission(t int64, c client, user string) {
	d := "postfix/submission/smtpd[" + g.take(&g.submission, t, t+3*second) + "]: "
	g.put(t, d+"connect from "+c.String())
	g.mark(t+2100, "old_password", c, d+"warning: "+c.String()+": SASL PLAIN authentication failed: (reason unavailable), sasl_username="+user)
	g.put(t+2200, d+"disconnect from "+c.String()+" ehlo=2 starttls=1 auth=0/1 quit=1 commands=4/5")
}

// hiccup is a connection that breaks before anything was said.
func (g *generator) hiccup(t int64, c client) {
	if g.r.IntN(2) == 0 {
		g.mark(t, "hiccup", c, "dovecot: imap-login: Disconnected: Connection closed (no auth attempts in 0 secs): user=<>, rip="+c.addr.String()+", lip=192.0.2.25, TLS, session=<"+g.hex(16)+">")
		return
	}
	d := "postfix/submission/smtpd[" + g.take(&g.submission, t, t+3*second) + "]: "
	g.put(t, d+"connect from "+c.String())
	g.mark(t+1500, "hiccup", c, d+"lost connection after STARTTLS from "+c.String())
	g.put(t+1500, d+"disconnect from "+c.String()+" ehlo=1 starttls=1 commands=2")
}

// beginMonitor: a probe looks every minute whether we are there. Every third
// time it does not even say goodbye.
func beginMonitor(g *generator) {
	g.background(120*second, g.first+2*day)
	c := client{addr: host("198.51.100.0", 9), name: "probe.monitor.example"}
	for i := range 2 * day / minute {
		t := g.first + int64(i)*minute + 7*second
		g.at(t, func() {
			d := "postfix/smtpd[" + g.take(&g.smtpd, t, t+300) + "]: "
			g.put(t, d+"connect from "+c.String())
			if i%3 == 0 {
				g.mark(t+100, "probe", c, d+"lost connection after CONNECT from "+c.String())
				g.put(t+100, d+"disconnect from "+c.String()+" commands=0/0")
				return
			}
			g.mark(t+100, "probe", c, d+"disconnect from "+c.String()+" ehlo=1 quit=1 commands=2")
		})
	}
}

// beginGoodIn: 203.0.113.77 sends us mail for two days, 203.0.113.25 is a
// partner (meant for the allowlist) who sends some and now and then a recipient
// that is gone; on the third day sixty of their neighbours attack.
func beginGoodIn(g *generator) {
	g.background(90*second, g.first+2*day+6*hour)
	good := client{addr: host("203.0.113.0", 77), name: "mail.good.example"}
	partner := client{addr: host("203.0.113.0", 25), name: "mx.partner.example"}
	end := g.first + 2*day + 6*hour
	g.repeat(g.first+hour, 30*minute, end, func(t int64) { g.inbound(t, good, g.local()) })
	g.repeat(g.first+2*hour, 3*hour, end, func(t int64) { g.inbound(t, partner, g.local()) })
	g.repeat(g.first+3*hour, 2*hour, end, func(t int64) { g.typo(t, partner) })
	var bad []client
	for _, n := range g.r.Perm(254) {
		if a := host("203.0.113.0", n+1); a != good.addr && a != partner.addr && len(bad) < 60 {
			bad = append(bad, g.attacker(a, 0.5))
		}
	}
	start := g.first + 2*day + hour
	g.repeat(start, second, start+2*hour, func(t int64) { g.unknown(t, bad[g.r.IntN(len(bad))]) })
}

// beginV6: 300 /64s of one /48, each with a host or two and a dozen tries in
// an hour or so. Honest hosts live in the /48 next to it.
func beginV6(g *generator) {
	g.background(20*second, g.first+4*hour)
	for range 40 {
		b := netip.MustParseAddr("2001:db8:bae::").As16()
		b[7], b[15] = byte(g.r.IntN(256)), 25
		g.mail = append(g.mail, client{addr: netip.AddrFrom16(b), name: "unknown"})
	}
	for i := range 300 {
		b := netip.MustParseAddr("2001:db8:bad::").As16()
		b[6], b[7] = byte(i/40), byte(i%40*5)
		from := g.first + 30*minute + g.r.Int64N(2*hour)
		for range 12 {
			b[15] = byte(1 + g.r.IntN(2))
			c, t := g.attacker(netip.AddrFrom16(b), 0), from+g.r.Int64N(8*minute)
			g.at(t, func() { g.unknown(t, c) })
		}
	}
}
