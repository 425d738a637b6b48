package loggen

import "strconv"

// attack is a session of a client that tries all sorts of things.
func (g *generator) attack(t int64, c client) {
	helo, to := "WIN-"+g.hex(8), g.missing()
	envelope := func(from, to, proto string) string {
		return "; from=<" + from + "> to=<" + to + "> proto=" + proto + " helo=<" + helo + ">"
	}
	usual := func() string { return envelope(g.other(), to, "ESMTP") }
	addr := c.addr.String()
	switch x := g.r.IntN(100); {
	case x < 30:
		g.unknown(t, c)
	case x < 38:
		g.rejected(t, c, "user_unknown_550", "550 5.1.1 <"+to+">: Recipient address rejected: User unknown in virtual mailbox table"+usual())
	case x < 46:
		to = g.other()
		g.rejected(t, c, "relay_denied", "554 5.7.1 <"+to+">: Relay access denied"+usual())
	case x < 52:
		g.rejected(t, c, "helo", "450 4.7.1 <"+helo+">: Helo command rejected: Host not found"+usual())
	case x < 56:
		g.rejected(t, c, "helo_fqdn", "504 5.5.2 <"+helo+">: Helo command rejected: need fully-qualified hostname"+usual())
	case x < 66:
		g.rejected(t, c, "dnsbl", "554 5.7.1 Service unavailable; Client host ["+addr+"] blocked using dnsbl.example; https://dnsbl.example/query/ip/"+addr+usual())
	case x < 70:
		from := "x" + g.hex(6) + "@nx.invalid"
		g.rejected(t, c, "sender_domain", "450 4.1.8 <"+from+">: Sender address rejected: Domain not found"+envelope(from, to, "ESMTP"))
	case x < 72:
		g.rejected(t, c, "client_host", "450 4.7.25 Client host rejected: cannot find your hostname, ["+addr+"]"+usual())
	case x < 86:
		g.guess(t, c)
	case x < 90:
		g.aside(t, c, 100, "pipelining", "improper command pipelining after EHLO from "+c.String()+`: QUIT\r\n`, "ehlo=1 quit=1 commands=2")
	case x < 93:
		g.aside(t, c, 2000, "too_many", "too many errors after RCPT from "+c.String(), "ehlo=1 mail=1 rcpt=0/10 commands=2/12")
	default:
		g.screened(t, c, helo, to)
	}
}

// unknown is a bounce to somebody who does not exist, as in the flood of 2004.
func (g *generator) unknown(t int64, c client) {
	to := g.missing()
	g.rejected(t, c, "user_unknown_450", "450 4.1.1 <"+to+">: Recipient address rejected: User unknown in local recipient table; from=<> to=<"+to+"> proto=SMTP helo=<WIN-"+g.hex(8)+">")
}

// guess is a wrong password; half of those who guess do not say goodbye.
func (g *generator) guess(t int64, c client) {
	defer g.as(c)()
	d := "postfix/smtpd[" + g.take(&g.smtpd, t, t+second) + "]: "
	g.put(t, d+"connect from "+c.String())
	g.mark(t+900, "sasl", c, d+"warning: "+c.String()+": SASL LOGIN authentication failed: UGFzc3dvcmQ6")
	if g.r.IntN(2) == 0 {
		g.mark(t+950, "lost_auth", c, d+"lost connection after AUTH from "+c.String())
	}
	g.put(t+960, d+"disconnect from "+c.String()+" ehlo=1 auth=0/1 commands=1/2")
}

// aside is a session with one line that is no reject.
func (g *generator) aside(t int64, c client, after int64, kind, text, commands string) {
	defer g.as(c)()
	d := "postfix/smtpd[" + g.take(&g.smtpd, t, t+after+50) + "]: "
	g.put(t, d+"connect from "+c.String())
	g.mark(t+after, kind, c, d+text)
	g.put(t+after+20, d+"disconnect from "+c.String()+" "+commands)
}

// screened is a client that postscreen does not let through.
func (g *generator) screened(t int64, c client, helo, to string) {
	defer g.as(c)()
	peer := "[" + c.addr.String() + "]:" + g.port()
	ps := "postfix/postscreen[" + strconv.Itoa(g.daemon) + "]: "
	g.put(t, ps+"CONNECT from "+peer+" to [192.0.2.25]:25")
	switch g.r.IntN(4) {
	case 0:
		g.mark(t+20, "pregreet", c, ps+"PREGREET 11 after 0.04 from "+peer+`: EHLO User\r\n`)
		g.put(t+30, ps+"DISCONNECT "+peer)
	case 1:
		g.mark(t+20, "hangup", c, ps+"HANGUP after 0.6 from "+peer+" in tests after SMTP handshake")
		g.put(t+30, ps+"DISCONNECT "+peer)
	default:
		g.put(t+10, "postfix/dnsblog["+g.number(30000)+"]: addr "+c.addr.String()+" listed by domain dnsbl.example as 127.0.0.4")
		g.put(t+20, ps+"DNSBL rank 3 for "+peer)
		g.mark(t+6000, "postscreen_reject", c, ps+"NOQUEUE: reject: RCPT from "+peer+": 550 5.7.1 Service unavailable; client ["+c.addr.String()+"] blocked using dnsbl.example; from=<"+g.other()+">, to=<"+to+">, proto=ESMTP, helo=<"+helo+">")
		g.put(t+6010, ps+"DISCONNECT "+peer)
	}
}
