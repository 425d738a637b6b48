package loggen

import (
	"strconv"
	"time"
)

// honest is one session or so of ordinary traffic.
func (g *generator) honest(t int64) {
	switch x := g.r.IntN(1000); {
	case x < 500:
		g.inbound(t, g.mail[g.r.IntN(len(g.mail))], g.local())
	case x < 700:
		g.outbound(t)
	case x < 970:
		g.imap(t, g.users[g.r.IntN(len(g.users))], g.local())
	case x < 992:
		g.anvil(t)
	default:
		g.typo(t, g.mail[g.r.IntN(len(g.mail))])
	}
}

// background is ordinary traffic, a session every so often.
func (g *generator) background(every, until int64) {
	g.mail = g.clients(300, 0.97, g.benchAddr)
	g.users = g.clients(60, 0.6, g.benchAddr)
	g.repeat(g.first, every, until, g.honest)
}

// repeat calls do from a time until another, at random distances of every on average.
func (g *generator) repeat(from, every, until int64, do func(int64)) {
	if from >= until {
		return
	}
	g.at(from, func() {
		do(from)
		g.repeat(from+1+g.r.Int64N(2*every), every, until, do)
	})
}

// inbound is a message that is accepted.
func (g *generator) inbound(t int64, c client, to string) {
	d := "postfix/smtpd[" + g.take(&g.smtpd, t, t+second) + "]: "
	if g.r.IntN(10) == 0 {
		g.put(t, d+"warning: hostname "+g.pick(hostDomains())+" does not resolve to address "+c.addr.String()+": Name or service not known")
	}
	if g.r.IntN(4) == 0 {
		ps := "postfix/postscreen[" + strconv.Itoa(g.daemon) + "]: "
		peer := "[" + c.addr.String() + "]:" + g.port()
		g.put(t, ps+"CONNECT from "+peer+" to [192.0.2.25]:25")
		g.put(t, ps+"PASS OLD "+peer)
	}
	g.put(t, d+"connect from "+c.String())
	t += g.lag(50, 200)
	g.put(t, d+"Anonymous TLS connection established from "+c.String()+": TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits) key-exchange X25519 server-signature RSA-PSS (2048 bits) server-digest SHA256")
	t += g.lag(50, 300)
	q := g.queueID()
	g.mark(t, accepted, c, d+q+": client="+c.String())
	t += g.lag(10, 200)
	id := g.hex(16) + "." + g.hex(8) + "@" + g.pick(otherDomains())
	g.put(t, "postfix/cleanup["+g.number(30000)+"]: "+q+": message-id=<"+id+">")
	if g.r.IntN(2) == 0 {
		g.put(t, "opendkim["+strconv.Itoa(g.daemon+1)+"]: "+q+": DKIM verification successful (s=sel"+g.number(9)+" d="+g.pick(otherDomains())+", 2048-bit key)")
	}
	size := strconv.Itoa(1200 + g.r.IntN(90000))
	g.put(t+20, g.qmgr()+q+": from=<"+g.other()+">, size="+size+", nrcpt=1 (queue active)")
	g.put(t+30, d+"disconnect from "+c.String()+" ehlo=2 starttls=1 mail=1 rcpt=1 data=1 quit=1 commands=7")
	t += g.lag(100, 2000)
	if g.r.IntN(3) == 0 {
		g.put(t, "spamd["+strconv.Itoa(g.daemon+2)+"]: spamd: result: . "+g.number(4)+" - DKIM_SIGNED,DKIM_VALID,HTML_MESSAGE,SPF_PASS scantime=0."+g.number(9)+",size="+size+",user=debian-spamd,uid=112,required_score=5.0,rhost=::1,raddr=::1,rport=48"+strconv.Itoa(100+g.r.IntN(800))+",mid=<"+id+">,autolearn=ham")
	}
	g.put(t+5, "dovecot: lmtp("+to+")<"+g.number(30000)+"><"+g.hex(16)+">: msgid=<"+id+">: saved mail to INBOX")
	g.put(t+7, "postfix/lmtp["+g.number(30000)+"]: "+q+": to=<"+to+">, relay=mx1.acme.test[private/dovecot-lmtp], delay=0."+strconv.Itoa(10+g.r.IntN(89))+", delays=0.21/0.01/0.01/0.07, dsn=2.0.0, status=sent (250 2.0.0 <"+to+"> "+g.hex(20)+" Saved)")
	g.put(t+9, g.qmgr()+q+": removed")
}

func (g *generator) qmgr() string { return "postfix/qmgr[" + strconv.Itoa(g.daemon+3) + "]: " }

// outbound is a message of a user of ours, which may bounce elsewhere.
func (g *generator) outbound(t int64) {
	c := g.users[g.r.IntN(len(g.users))]
	d := "postfix/submission/smtpd[" + g.take(&g.submission, t, t+second) + "]: "
	g.put(t, d+"connect from "+c.String())
	t += g.lag(50, 200)
	q, from := g.queueID(), g.local()
	g.mark(t, submitted, c, d+q+": client="+c.String()+", sasl_method=PLAIN, sasl_username="+from)
	g.put(t+20, "postfix/cleanup["+g.number(30000)+"]: "+q+": message-id=<"+g.hex(16)+"@"+g.pick(ourDomains())+">")
	g.put(t+40, g.qmgr()+q+": from=<"+from+">, size="+strconv.Itoa(900+g.r.IntN(40000))+", nrcpt=1 (queue active)")
	g.put(t+60, d+"disconnect from "+c.String()+" ehlo=2 starttls=1 auth=1 mail=1 rcpt=1 data=1 quit=1 commands=8")
	t += g.lag(200, 3000)
	to, relay := g.other(), "mx."+g.pick(otherDomains())+"["+host("198.18.250.0", 1+g.r.IntN(250)).String()+"]"
	head := "postfix/smtp[" + g.number(30000) + "]: " + q + ": to=<" + to + ">, relay=" + relay + ":25, "
	switch g.r.IntN(20) {
	case 0:
		g.put(t, head+"delay=1.9, delays=0.1/0/0.8/1, dsn=5.1.1, status=bounced (host "+relay+" said: 550 5.1.1 <"+to+">: Recipient address rejected: User unknown in virtual mailbox table (in reply to RCPT TO command))")
		g.put(t+10, "postfix/bounce["+g.number(30000)+"]: "+q+": sender non-delivery notification: "+g.queueID())
	case 1:
		g.put(t, head+"delay=4.2, delays=0.1/0/2.8/1.3, dsn=4.7.1, status=deferred (host "+relay+" said: 450 4.7.1 <"+to+">: Recipient address rejected: Greylisted (in reply to RCPT TO command))")
	default:
		g.put(t, head+"delay=1."+g.number(99)+", delays=0.11/0.01/0.34/0.79, dsn=2.0.0, status=sent (250 2.0.0 OK "+strconv.Itoa(1700000000+g.r.IntN(90000000))+" "+g.hex(14)+" - gsmtp)")
	}
	g.put(t+20, g.qmgr()+q+": removed")
}

// imap is a session in a mailbox.
func (g *generator) imap(t int64, c client, user string) {
	s := g.hex(16)
	g.mark(t, login, c, "dovecot: imap-login: Login: user=<"+user+">, method=PLAIN, rip="+c.addr.String()+", lip=192.0.2.25, mpid="+strconv.Itoa(g.pid())+", TLS, session=<"+s+">")
	g.put(t+g.lag(300, 60000), "dovecot: imap("+user+")<"+strconv.Itoa(g.pid())+"><"+s+">: Disconnected: Logged out in="+g.number(3000)+" out="+g.number(90000)+" deleted=0 expunged=0 trashed=0 hdr_count=0 hdr_bytes=0 body_count=0 body_bytes=0")
}

// anvil is the statistics that Postfix writes every ten minutes.
func (g *generator) anvil(t int64) {
	c := g.mail[g.r.IntN(len(g.mail))]
	p := "postfix/anvil[" + strconv.Itoa(g.pid()) + "]: statistics: max "
	at := " at " + time.UnixMilli(t).UTC().Format(time.Stamp)
	g.put(t, p+"connection rate "+strconv.Itoa(1+g.r.IntN(30))+"/60s for (smtp:"+c.addr.String()+")"+at)
	g.put(t, p+"connection count "+strconv.Itoa(1+g.r.IntN(9))+" for (smtp:"+c.addr.String()+")"+at)
	g.put(t, p+"cache size "+strconv.Itoa(1+g.r.IntN(99))+at)
}

// typo is an honest mistake: a recipient that does not exist.
func (g *generator) typo(t int64, c client) {
	to := g.missing()
	g.rejected(t, c, "reject", "550 5.1.1 <"+to+">: Recipient address rejected: User unknown in virtual mailbox table; from=<"+g.other()+"> to=<"+to+"> proto=ESMTP helo=<"+g.pick(hostDomains())+">")
}

// rejected is a session with one recipient that is refused.
func (g *generator) rejected(t int64, c client, kind, text string) {
	defer g.as(c)()
	d := "postfix/smtpd[" + g.take(&g.smtpd, t, t+150) + "]: "
	g.put(t, d+"connect from "+c.String())
	g.mark(t+90, kind, c, d+"NOQUEUE: reject: RCPT from "+c.String()+": "+text)
	g.put(t+120, d+"disconnect from "+c.String()+" ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4")
}
