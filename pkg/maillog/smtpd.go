package maillog

import "encoding/binary"

// smtpd reads a message of smtpd(8). Each form is matched from its first
// byte; reading stops at the client but for what is known to follow it. p may
// be nil.
func smtpd(m []byte, ev *Event, p *Parser) Kind {
	switch m[0] {
	case 'N':
		if len(m) >= 27 && string(m[:16]) == "NOQUEUE: reject:" && string(m[16:27]) == " RCPT from " { // nearly all
			if n := p.peer(m, 27, ev); n >= 0 && has(m[n:], ": ") {
				ev.Stage = StageRcpt
				return p.refused(m[n+2:], ev)
			}
		}
		if has(m, "NOQUEUE: ") {
			return queued(m[len("NOQUEUE: "):], ev)
		}
	case 'c':
		if len(m) >= 13 && string(m[:13]) == "connect from " {
			if p.onlyPeer(m, len("connect from "), ev) == len(m) {
				return SMTPDConnect
			}
			return connect(m[len("connect from "):], ev)
		}
		if b, ok := cut(m, "certificate verification failed for "); ok {
			return client(b, ":", SMTPDTLSCert, ev)
		}
	case 'd':
		if len(m) >= 16 && string(m[:16]) == "disconnect from " {
			if n := p.peer(m, len("disconnect from "), ev); n >= 0 && (n == len(m) || m[n] == ' ') {
				return p.summary(m[n:], ev)
			}
			return disconnect(m[len("disconnect from "):], ev)
		}
	case 'w':
		if b, ok := cut(m, "warning: "); ok {
			return warning(b, ev)
		}
	case 'A', 'U', 'T', 'V':
		// In parts that are compared without a call.
		if len(m) >= 42 && string(m[:16]) == "Anonymous TLS co" && string(m[16:32]) == "nnection establi" && string(m[32:42]) == "shed from " { // most
			if n := p.peer(m, len("Anonymous TLS connection established from "), ev); n >= 0 && n < len(m) && m[n] == ':' && portless(m, n) {
				return SMTPDTLSEstablished
			}
		}
		if k := tlsLine(m, ev); k != KindUnknown {
			return k
		}
	case 'S':
		if b, ok := cut(m, "SSL_accept error from "); ok {
			return client(b, ":", SMTPDTLSAcceptError, ev)
		}
	case 's':
		if b, ok := cut(m, "setting up TLS connection from "); ok {
			return client(b, "", SMTPDTLSCert, ev)
		}
	case 'i', 'l', 't', 'b':
		if k := ended(m, ev); k != KindUnknown {
			return k
		}
	case 'p':
		if b, ok := cut(m, "proxy-reject: "); ok {
			return proxyReject(b, ev)
		}
	}
	if id, b, ok := queueID(m); ok {
		if id != nil {
			ev.set(QueueID, id)
		}
		if has(b, "client=") { // most
			if n := p.peer(b, len("client="), ev); n >= 0 && portless(b, n) {
				return queuedBy(b[n:], ev)
			}
		}
		return queued(b, ev)
	}
	if b, ok := nameAddr(m, ev); ok {
		return named(b, ev)
	}
	if k := bdat(m, ev); k != KindUnknown {
		return k
	}
	if smtpdQuiet(m) {
		return KindNone
	}
	return KindUnknown
}

// proxyReject reads "WHERE: REPLY; from=..." of a before-queue filter, which
// names no client.
func proxyReject(b []byte, ev *Event) Kind {
	if b, ok := where(b, ev); ok {
		if b, ok = cut(b, ": "); ok {
			fields(b, ev)
			reply(b, ev)
		}
	}
	return SMTPDProxyReject
}

// client reads NAMADDR at the start of b. What follows must begin with next;
// "" stands for the end of the message.
func client(b []byte, next string, k Kind, ev *Event) Kind {
	b, ok := nameAddr(b, ev)
	if !ok || !has(b, next) || next == "" && len(b) > 0 {
		return KindUnknown
	}
	return k
}

func connect(b []byte, ev *Event) Kind {
	k := client(b, "", SMTPDConnect, ev)
	if k == SMTPDConnect && !ev.Client.IsValid() {
		return SMTPDConnectUnknown
	}
	return k
}

// tlsLine reads "Anonymous TLS connection established from NAMADDR[ to SNI]:
// ..." and "TLS SNI NAME from NAMADDR not matched, ...", where NAME is made of
// the letters of a host name.
func tlsLine(m []byte, ev *Event) Kind {
	if b, ok := tlsFrom(m); ok {
		b, ok = nameAddr(b, ev)
		if ok && (has(b, ":") || has(b, " to ")) {
			return SMTPDTLSEstablished
		}
		return KindUnknown
	}
	if b, ok := cut(m, "TLS SNI "); ok {
		sni, b := word(b)
		if b, ok = cut(b, "from "); ok && hostName(sni) {
			return client(b, " not matched", SMTPDTLSSNI, ev)
		}
	}
	return KindUnknown
}

// tlsFrom takes "Anonymous TLS connection established from " off; 2.2 to 2.4
// wrote it without the first word.
func tlsFrom(m []byte) (b []byte, ok bool) {
	if b, ok = cut(m, "Anonymous TLS connection established from "); ok { // most
		return b, ok
	}
	w, b := word(m)
	switch string(w) {
	case "Anonymous", "Untrusted", "Trusted", "Verified":
	case "TLS":
		b = m
	default:
		return m, false
	}
	return cut(b, "TLS connection established from ")
}

func hostName(b []byte) bool {
	for _, c := range b {
		if !nameByte[c] {
			return false
		}
	}
	return len(b) > 0
}

// ended reads the lines about the end of a session or of its patience, with
// WHERE in front of the client. Since 3.10 most of them stand behind "QID: ".
func ended(m []byte, ev *Event) Kind {
	if b, ok := cut(m, "lost connection after "); ok {
		return whereFrom(b, "", SMTPDLostConnection, ev)
	}
	if b, ok := cut(m, "improper command pipelining after "); ok {
		if k := whereFrom(b, "", SMTPDPipelining, ev); k != KindUnknown {
			return k // 2.6 to 2.8
		}
		return whereFrom(b, ":", SMTPDPipelining, ev)
	}
	if b, ok := cut(m, "timeout after "); ok {
		return whereFrom(b, "", SMTPDTimeout, ev)
	}
	if b, ok := cut(m, "too many errors after "); ok {
		return whereFrom(b, "", SMTPDTooManyErrors, ev)
	}
	if b, ok := cut(m, "bare <LF> received after "); ok {
		ev.Reason = BareLF
		return whereFrom(b, "", SMTPDBareLF, ev)
	}
	return KindUnknown
}

// whereFrom reads "WHERE from NAMADDR" with next behind it.
func whereFrom(b []byte, next string, k Kind, ev *Event) Kind {
	b, ok := where(b, ev)
	if !ok {
		return KindUnknown
	}
	b, ok = cut(b, " from ")
	if !ok {
		return KindUnknown
	}
	return client(b, next, k, ev)
}

// named reads what follows a client at the start of a message of severity
// info.
func named(b []byte, ev *Event) Kind {
	if has(b, ": replacing command ") || has(b, ": replacing client command ") {
		return SMTPDCmdReplaced
	}
	b, ok := cut(b, ": ")
	if !ok {
		return KindUnknown
	}
	for _, p := range [...]string{
		"subject_CN=", "subject=", "depth=", "Reusing old session", "certificate verification ",
		"Trusted: ", "Untrusted: ", "Verified: ", "Unverified: ", "fingerprint=", "re-using session",
		"self-signed certificate", "CommonName ", "issued session ticket", "Issued session ticket",
	} {
		if has(b, p) {
			return SMTPDTLSCert
		}
	}
	return KindUnknown
}

// bdat reads the forms about BDAT; all but the first exist with and without
// "QID: " and "warning: " in front, depending on the release.
func bdat(b []byte, ev *Event) Kind {
	if b, ok := cut(b, "malformed BDAT command syntax from "); ok {
		return client(b, ":", SMTPDBdat, ev)
	}
	if b, ok := cut(b, "null BDAT request from "); ok {
		return client(b, "", SMTPDBdat, ev)
	}
	if b, ok := cut(b, "BDAT request from "); ok {
		return client(b, " exceeds message size limit", SMTPDBdat, ev)
	}
	if b, ok := cut(b, "too much BDAT content -- disabling further input from "); ok {
		return client(b, "", SMTPDBdat, ev)
	}
	return KindUnknown
}

// disconnect reads NAMADDR and, since 3.0, the summary of the session.
func disconnect(b []byte, ev *Event) Kind {
	b, ok := nameAddr(b, ev)
	if !ok {
		return KindUnknown
	}
	return summary(b, ev)
}

// summary reads " ehlo=1 mail=1 rcpt=0/1 quit=1 commands=3/4".
func summary(b []byte, ev *Event) Kind {
	c := &ev.Commands
	c.Present = len(b) > 0
	for len(b) > 0 {
		if b[0] != ' ' {
			return KindUnknown
		}
		// Most commands have four letters and were used up to nine times.
		if len(b) >= 7 && b[5] == '=' {
			if t, n := digitTally(b[6:]); n > 0 {
				c.set4(b[1:], t)
				b = b[6+n:]
				continue
			}
		} else if has(b, " commands=") {
			if t, n := digitTally(b[10:]); n > 0 {
				c.All = t
				b = b[10+n:]
				continue
			}
		}
		var ok bool
		if b, ok = anyTally(b[1:], c); !ok {
			return KindUnknown
		}
	}
	return SMTPDDisconnect
}

// digitTally reads "N" or "OK/TOTAL" of one digit each in front of a blank or
// the end; n is 0 when it is anything else.
func digitTally(b []byte) (t Tally, n int) {
	if len(b) == 0 || b[0]-'0' > 9 {
		return t, 0
	}
	v := uint16(b[0] - '0')
	if len(b) == 1 || b[1] == ' ' {
		return Tally{v, v}, 1
	}
	if len(b) >= 3 && b[1] == '/' && b[2]-'0' <= 9 && (len(b) == 3 || b[3] == ' ') {
		return Tally{v, uint16(b[2] - '0')}, 3
	}
	return t, 0
}

// anyTally reads one "cmd=N" or "cmd=OK/TOTAL" of any length, or the
// "notes=bare_lf" of 3.9.
func anyTally(b []byte, c *Commands) (rest []byte, ok bool) {
	i := 0
	for i < len(b) && b[i] != '=' {
		i++
	}
	if i == len(b) {
		return b, false
	}
	key, b := b[:i], b[i+1:]
	if t, n := readTally(b); n > 0 {
		switch string(key) {
		case "commands":
			c.All = t
		case "unknown":
			c.Unknown = t
		default:
			if len(key) == 4 {
				c.set4(key, t)
			}
		}
		return b[n:], true
	}
	i = 0
	for i < len(b) && b[i] != ' ' {
		i++
	}
	return b[i:], string(key) == "notes"
}

// readTally reads "N" or "OK/TOTAL"; n is its length, 0 when there is none.
func readTally(b []byte) (t Tally, n int) {
	ok, rest, is := number(b)
	if !is {
		return t, 0
	}
	t = Tally{uint16(min(ok, 65535)), uint16(min(ok, 65535))}
	if len(rest) > 0 && rest[0] == '/' {
		var total uint32
		if total, rest, is = number(rest[1:]); !is {
			return t, 0
		}
		t.Total = uint16(min(total, 65535))
	}
	return t, len(b) - len(rest)
}

// set4 sets the command whose name is the first four bytes of key.
func (c *Commands) set4(key []byte, t Tally) {
	switch binary.LittleEndian.Uint32(key) {
	case 'a' | 'u'<<8 | 't'<<16 | 'h'<<24:
		c.Auth = t
	case 'm' | 'a'<<8 | 'i'<<16 | 'l'<<24:
		c.Mail = t
	case 'r' | 'c'<<8 | 'p'<<16 | 't'<<24:
		c.Rcpt = t
	case 'd' | 'a'<<8 | 't'<<16 | 'a'<<24:
		c.Data = t
	case 'b' | 'd'<<8 | 'a'<<16 | 't'<<24:
		c.Bdat = t
	}
}
