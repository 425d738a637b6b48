package loggen

import (
	"strconv"
	"strings"
	"time"
)

// The flood of July 2004, in the words of Postfix 2.1: no enhanced status
// codes, no summary at disconnect, short queue IDs.

// begin2004 is two quiet days and then a night in which 230 hosts of six
// networks send bounces to users that do not exist: one every few seconds at
// first, four a second after forty minutes, weaker from the second hour on. The
// log ends in the middle of it.
func begin2004(g *generator) {
	era := &era2004{generator: g, users: []string{"foo", "bar", "hanako", "taro", "info", "webmaster", "sato", "suzuki", "kimura", "ohta", "postmaster", "ml-admin"}}
	for range 40 {
		a := g.benchAddr()
		for !a.Is4() {
			a = g.benchAddr()
		}
		g.mail = append(g.mail, client{addr: a, name: "mail." + g.pick([]string{"example.com", "example.net", "example.org", "example.co.jp", "sub.example.jp"})})
	}
	// One honest host lives in the middle of an attacking network.
	neighbour := client{addr: host("198.19.200.0", 25), name: "smtp.neighbour.example"}
	g.mail = append(g.mail, neighbour)
	end := g.first + 2*day + 4*hour
	g.repeat(g.first+8*hour, 120*second, end, func(t int64) {
		era.accepted(t, g.mail[g.r.IntN(len(g.mail))])
	})
	g.repeat(g.first+9*hour, 7*hour, end, func(t int64) { era.accepted(t, neighbour) })
	for _, t := range []int64{g.first + 15*hour, g.first + 34*hour} { // two honest typos
		g.at(t, func() { era.typo(t, g.mail[g.r.IntN(40)]) })
	}
	var hosts []client
	for i, network := range []string{"198.51.100.0", "203.0.113.0", "192.0.2.0", "198.19.7.0", "198.19.64.0", "198.19.200.0"} {
		n := 38
		if i < 2 {
			n = 39
		}
		for _, last := range g.r.Perm(253)[:n] {
			if a := host(network, 1+last); a != neighbour.addr {
				hosts = append(hosts, g.attacker(a, 0))
			}
		}
	}
	for i := range hosts {
		if g.r.IntN(2) == 0 {
			hosts[i].name = "h" + strings.ReplaceAll(hosts[i].addr.String(), ".", "-") + ".hogehoge.example"
		}
	}
	start := g.first + 2*day + hour + 2*minute + 3*second
	era.flood(start, start, hosts)
}

type era2004 struct {
	*generator
	users []string
}

// flood sends one bounce and comes back.
func (g *era2004) flood(t, start int64, hosts []client) {
	pause := 250.0 // at the height, in milliseconds
	switch age := t - start; {
	case age < 40*minute:
		pause = 250 * 40 * minute / float64(age+minute)
	case age > 2*hour+58*minute:
		return
	case age > 70*minute:
		pause = 250 * float64(age-40*minute) / (30 * minute)
	}
	g.at(t, func() {
		// Early on few of them take part.
		n := min(len(hosts), 10+int((t-start)/(10*second)))
		g.bounce(t, hosts[g.r.IntN(n)])
		g.flood(t+1+g.r.Int64N(int64(2*pause)), start, hosts)
	})
}

// bounce is a null-sender message to a made-up user.
func (g *era2004) bounce(t int64, c client) {
	defer g.as(c)()
	to := g.digits("abcdefghijklmnopqrstuvwxyz", 3+g.r.IntN(6)) + "@example.jp"
	helo := c.name
	if helo == "unknown" {
		helo = g.digits("abcdefghijklmnopqrstuvwxyz", 6) + ".example"
	}
	d := "postfix/smtpd[" + g.take(&g.smtpd, t, t+2*second) + "]: "
	g.put(t, d+"connect from "+c.String())
	t += g.lag(200, 900)
	g.mark(t, "user_unknown_450", c, d+"NOQUEUE: reject: RCPT from "+c.String()+": 450 <"+to+">: Recipient address rejected: User unknown in local recipient table; from=<> to=<"+to+"> proto=ESMTP helo=<"+helo+">")
	g.put(t+g.lag(50, 400), d+"disconnect from "+c.String())
}

// accepted is a message for one of the users.
func (g *era2004) accepted(t int64, c client) {
	d := "postfix/smtpd[" + g.take(&g.smtpd, t, t+4*second) + "]: "
	q := g.hex(10)
	to := g.pick(g.users) + "@example.jp"
	from := g.pick(g.users) + "@" + strings.TrimPrefix(strings.TrimPrefix(c.name, "mail."), "smtp.")
	g.put(t, d+"connect from "+c.String())
	g.mark(t+g.lag(100, 500), accepted, c, d+q+": client="+c.String())
	t += g.lag(700, 300)
	id := "<" + time.UnixMilli(t).UTC().Format("20060102150405") + "." + g.hex(8) + "@" + strings.TrimPrefix(c.name, "mail.") + ">"
	g.put(t, "postfix/cleanup["+g.number(30000)+"]: "+q+": message-id="+id)
	t += g.lag(50, 800)
	g.put(t, g.qmgr()+q+": from=<"+from+">, size="+strconv.Itoa(900+g.r.IntN(30000))+", nrcpt=1 (queue active)")
	g.put(t+10, d+"disconnect from "+c.String())
	t += g.lag(100, 1500)
	g.put(t, "postfix/local["+g.number(30000)+"]: "+q+": to=<"+to+">, relay=local, delay="+strconv.Itoa(1+g.r.IntN(3))+", status=sent (delivered to mailbox)")
	g.put(t, g.qmgr()+q+": removed")
}

// typo is somebody who cannot spell a colleague.
func (g *era2004) typo(t int64, c client) {
	d := "postfix/smtpd[" + g.take(&g.smtpd, t, t+second) + "]: "
	domain := strings.TrimPrefix(c.name, "mail.")
	g.put(t, d+"connect from "+c.String())
	g.mark(t+300, "user_unknown_450", c, d+"NOQUEUE: reject: RCPT from "+c.String()+": 450 <hanakp@example.jp>: Recipient address rejected: User unknown in local recipient table; from=<sato@"+domain+"> to=<hanakp@example.jp> proto=ESMTP helo=<"+c.name+">")
	g.put(t+500, d+"disconnect from "+c.String())
}
