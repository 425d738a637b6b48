package maillog

import "bytes"

// warning reads what follows "warning: " in a message of smtpd.
func warning(m []byte, ev *Event) Kind {
	if len(m) == 0 {
		return KindNone
	}
	if k := warningWord(m, ev); k != KindUnknown {
		return k
	}
	if b, ok := nameAddr(m, ev); ok {
		return warningNamed(b, ev)
	}
	if k := oldPTR(m, ev); k != KindUnknown {
		return k
	}
	if id, b, ok := queueID(m); ok {
		if id != nil {
			ev.set(QueueID, id)
		}
		if k := bdat(b, ev); k != KindUnknown {
			return k
		}
	} else if k := bdat(m, ev); k != KindUnknown {
		return k
	}
	if warningQuiet(m) || !namesClient(m) {
		return KindNone
	}
	return KindUnknown
}

// warningWord reads the forms that begin with words of Postfix.
func warningWord(m []byte, ev *Event) Kind {
	switch m[0] {
	case 'h':
		// NAME is the unverified PTR, but holds no blank.
		if b, ok := cut(m, "hostname "); ok {
			name, b := word(b)
			if b, ok = cut(b, "does not resolve to address "); ok && hostName(name) {
				return ptrAddr(b, ev)
			}
		}
	case 'n':
		if b, ok := cut(m, "non-SMTP command from "); ok {
			return client(b, ":", SMTPDNonSMTP, ev)
		}
		// The number is what the PTR says, never the client.
		if has(m, "numeric hostname: ") || has(m, "numeric result ") {
			return SMTPDNumericHostname
		}
	case 'I':
		if b, ok := cut(m, "Illegal address syntax from "); ok {
			return badAddress(b, ev)
		}
	case 'r':
		if b, ok := cut(m, "reject: ETRN "); ok {
			return etrn(b, ev)
		}
	case 'b':
		if b, ok := cut(m, "bad ETRN "); ok {
			return etrn(b, ev)
		}
	case 'R':
		if b, ok := cut(m, "Refusing STARTTLS request from "); ok {
			ev.Stage = StageStarttls
			return limited(b, SMTPDTLSRefused, ev)
		}
		if b, ok := cut(m, "Refusing TLS service request from "); ok {
			return limited(b, SMTPDTLSRefused, ev)
		}
		return limit(m, ev)
	case 'T':
		if b, ok := cut(m, "TLS SNI from "); ok {
			return client(b, " is invalid:", SMTPDTLSSNI, ev)
		}
		if b, ok := cut(m, "TLS SNI changed from "); ok {
			return client(b, " initially ", SMTPDTLSSNI, ev)
		}
		return limit(m, ev)
	case 'A', 'C', 'M', 'N':
		return limit(m, ev)
	}
	return KindUnknown
}

// limit reads "Connection rate limit exceeded: N from NAMADDR for service S".
func limit(m []byte, ev *Event) Kind {
	var k Kind
	i := bytes.IndexByte(m, ':')
	if i < 0 {
		return KindUnknown
	}
	switch string(m[:i]) {
	case "Connection concurrency limit exceeded", "Too many connections":
		k = SMTPDLimitConcurrency
	case "Connection rate limit exceeded", "Too frequent connections":
		k = SMTPDLimitConnRate
	case "Message delivery request rate limit exceeded":
		k = SMTPDLimitMsgRate
	case "Recipient address rate limit exceeded":
		k = SMTPDLimitRcptRate
	case "New TLS session rate limit exceeded":
		k = SMTPDLimitTLSRate
	case "AUTH command rate limit exceeded":
		k = SMTPDLimitAuthRate
	default:
		return KindUnknown
	}
	b, ok := cut(m[i:], ": ")
	if !ok {
		return KindUnknown
	}
	if _, b, ok = number(b); !ok {
		return KindUnknown
	}
	if b, ok = cut(b, " from "); !ok {
		return KindUnknown
	}
	return limited(b, k, ev)
}

// limited reads "NAMADDR for service S".
func limited(b []byte, k Kind, ev *Event) Kind {
	b, ok := nameAddr(b, ev)
	if !ok {
		return KindUnknown
	}
	if len(b) == 0 {
		return k // 2.1
	}
	if b, ok = cut(b, " for service "); !ok || len(b) == 0 {
		return KindUnknown
	}
	service, _ := word(b)
	ev.set(Service, service)
	ev.door = 0
	return k
}

// ptrAddr reads "ADDR" or "ADDR: ERROR" behind a PTR name.
func ptrAddr(b []byte, ev *Event) Kind {
	if i := bytes.Index(b, []byte(": ")); i >= 0 {
		b = b[:i]
	}
	a, ok := parseAddr(b)
	if !ok {
		return KindUnknown
	}
	ev.Client = a
	return SMTPDPTRMismatch
}

// oldPTR reads the forms of 2.0 to 2.8: "ADDR: hostname NAME verification
// failed: ERROR" and "ADDR: address not listed for hostname NAME".
func oldPTR(m []byte, ev *Event) Kind {
	i := bytes.Index(m[:min(len(m), 48)], []byte(": "))
	if i < 0 {
		return KindUnknown
	}
	a, ok := parseAddr(m[:i])
	if !ok {
		return KindUnknown
	}
	b := m[i+2:]
	if !has(b, "address not listed for hostname ") {
		if b, ok = cut(b, "hostname "); !ok {
			return KindUnknown
		}
		if _, b = word(b); !has(b, "verification failed") {
			return KindUnknown
		}
	}
	ev.Client = a
	return SMTPDPTRMismatch
}

// badAddress reads "NAMADDR in MAIL command: TEXT".
func badAddress(b []byte, ev *Event) Kind {
	b, ok := nameAddr(b, ev)
	if !ok {
		return KindUnknown
	}
	if b, ok = cut(b, " in "); !ok {
		return KindUnknown
	}
	if b, ok = where(b, ev); !ok || !has(b, " command:") {
		return KindUnknown
	}
	return SMTPDBadAddress
}

// etrn reads "ARG... from NAMADDR"; ARG is the client's, but a host name or
// an address in brackets without blanks.
func etrn(b []byte, ev *Event) Kind {
	arg, b := word(b)
	b, ok := cut(b, "from ")
	if !ok || !ends(arg, "...") {
		return KindUnknown
	}
	ev.Stage = StageEtrn
	return client(b, "", SMTPDETRNDenied, ev)
}

// warningNamed reads what follows a client right behind "warning: ".
func warningNamed(b []byte, ev *Event) Kind {
	if b, ok := cut(b, ": SASL "); ok {
		return sasl(b, ev)
	}
	if has(b, ": request longer than ") {
		return SMTPDLongRequest
	}
	if b, ok := cut(b, " sent "); ok { // 2.0 to 2.2
		if has(b, "non-SMTP command") {
			return SMTPDNonSMTP
		}
		if _, b = word(b); has(b, "header instead of SMTP command") {
			return SMTPDNonSMTP
		}
	}
	if has(b, ": queue file size limit exceeded") || has(b, ": TLS library problem") {
		return KindNone
	}
	return KindUnknown
}

// sasl reads "METHOD authentication failed: REASON, sasl_username=USER" and
// "METHOD authentication aborted". METHOD is what the client typed, with
// blanks only inside quotes or angle brackets; USER is the client's too and
// the last thing on the line. A method that is not a plain word can hold all
// the words that follow, so that nothing more is read from its line: no
// mechanism has such a name, and it failed for that.
func sasl(b []byte, ev *Event) Kind {
	method, b := word(b)
	if !mechanism(method) {
		ev.Reason = AuthMechanism
		return SMTPDSASLFail
	}
	ev.set(SASLMethod, method)
	if b, ok := cut(b, "authentication aborted"); ok && (len(b) == 0 || has(b, ", sasl_username=")) {
		ev.Reason = AuthProtocol
		saslUser(b, ev)
		return SMTPDSASLAborted
	}
	b, ok := cut(b, "authentication failed")
	if !ok {
		return KindUnknown
	}
	if len(b) > 0 && !has(b, ": ") && !has(b, ", sasl_username=") {
		return KindUnknown
	}
	ev.Reason = saslReason(b)
	saslUser(b, ev)
	return SMTPDSASLFail
}

func mechanism(b []byte) bool {
	for _, c := range b {
		if idClass[c] == 0 && c != '-' && c != '_' {
			return false
		}
	}
	return len(b) > 0
}

func saslUser(b []byte, ev *Event) {
	const key = ", sasl_username="
	i := bytes.Index(b, []byte(key))
	if i < 0 {
		return
	}
	if u := b[i+len(key):]; len(u) > 0 && string(u) != "(unavailable)" {
		ev.set(SASLUser, u)
	}
}

// saslReason classifies ": REASON...". No reason, the challenge of LOGIN in
// base64 and what is not known count as wrong credentials.
func saslReason(b []byte) Reason {
	b, _ = cut(b, ": ")
	for _, r := range saslReasons {
		if has(b, r.text) {
			return r.reason
		}
	}
	return AuthCredentials
}

var saslReasons = [...]struct {
	text   string
	reason Reason
}{
	{"Invalid authentication mechanism", AuthMechanism},
	{"no mechanism available", AuthMechanism},
	{"encryption needed to use mechanism", AuthMechanism},
	{"Invalid base64 data", AuthProtocol},
	{"bad protocol / cancel", AuthProtocol},
	{"Connection lost to authentication server", AuthBackend},
	{"Can't connect to authentication server", AuthBackend},
	{"Authentication backend error", AuthBackend},
	{"generic failure", AuthBackend},
	{"remote authentication server unavailable", AuthBackend}, // Cyrus: SASL_UNAVAIL
	{"no memory available", AuthBackend},
	{"Temporary ", AuthBackend},
	{"Internal ", AuthBackend},
}
