package maillog

// queued reads what follows "QID: " or "NOQUEUE: " in a message of smtpd.
func queued(b []byte, ev *Event) Kind {
	if b, ok := cut(b, "reject: "); ok { // the most frequent by far
		return action(b, SMTPDReject, ev)
	}
	if b, ok := cut(b, "client="); ok {
		return queuedClient(b, ev)
	}
	i := 0
	for i < len(b) && (b[i] >= 'a' && b[i] <= 'z' || b[i] == '-' || b[i] == '_') {
		i++
	}
	if rest, ok := cut(b[i:], ": "); ok {
		if k := actionKind(b[:i]); k != KindUnknown {
			return action(rest, k, ev)
		}
		if string(b[:i]) == "abort" {
			if rest, ok = cut(rest, "TLS from "); ok {
				ev.Stage = StageTLS
				return client(rest, ":", SMTPDTLSAbort, ev)
			}
		}
		return KindUnknown
	}
	if k := ended(b, ev); k != KindUnknown { // 3.10+
		return k
	}
	return bdat(b, ev)
}

func actionKind(word []byte) Kind {
	switch string(word) {
	case "reject":
		return SMTPDReject
	case "reject_warning":
		return SMTPDRejectWarning
	case "hold":
		return SMTPDHold
	case "discard":
		return SMTPDDiscard
	case "redirect":
		return SMTPDRedirect
	case "filter":
		return SMTPDFilter
	case "bcc":
		return SMTPDBcc
	case "delay":
		return SMTPDDelay
	case "info":
		return SMTPDInfo
	case "warn":
		return SMTPDWarn
	case "hangup":
		return SMTPDHangup
	case "permit":
		return SMTPDPermit
	case "milter-reject":
		return SMTPDMilterReject
	case "milter-hold":
		return SMTPDMilterHold
	case "milter-discard":
		return SMTPDMilterDiscard
	}
	return KindUnknown
}

// action reads "WHERE from NAMADDR: TEXT; from=<S> to=<R> proto=P helo=<H>".
func action(b []byte, k Kind, ev *Event) Kind {
	b, ok := where(b, ev)
	if !ok {
		return KindUnknown
	}
	if b, ok = cut(b, " from "); !ok {
		return KindUnknown
	}
	if b, ok = nameAddr(b, ev); !ok {
		return KindUnknown
	}
	if b, ok = cut(b, ": "); !ok {
		if string(b) != ":" { // cut right there
			return KindUnknown
		}
		b = nil
	}
	return told(b, k, ev)
}

// told reads "TEXT; from=<S> to=<R> proto=P helo=<H>".
func told(b []byte, k Kind, ev *Event) Kind {
	fields(b, ev)
	switch k {
	case SMTPDReject, SMTPDRejectWarning:
		if has(b, "bare <LF> received") {
			ev.Reason = BareLF
			if k == SMTPDReject {
				k = SMTPDBareLF
			}
			break
		}
		ev.Reason = rejectReason(reply(b, ev), ev)
	case SMTPDMilterReject:
		ev.Reason = milterReason(reply(b, ev), ev)
	}
	return k
}

// reply reads "CODE DSN " or "CODE " (up to 2.2) or "DSN " (cleanup) at the
// start of a text.
func reply(b []byte, ev *Event) (text []byte) {
	var status []byte
	if ev.Code, status, text = codes(b); status != nil {
		ev.set(DSN, status)
	}
	return text
}

func codes(b []byte) (code uint16, status, text []byte) {
	if len(b) >= 4 && b[0]-'2' <= 3 && b[1]-'0' <= 9 && b[2]-'0' <= 9 && b[3] == ' ' {
		code = uint16(b[0]-'0')*100 + uint16(b[1]-'0')*10 + uint16(b[2]-'0')
		b = b[4:]
	}
	if len(b) >= 6 && b[1] == '.' && b[3] == '.' && b[5] == ' ' && // most: one digit each
		(b[0] == '5' || b[0] == '4' || b[0] == '2') && b[2]-'0' <= 9 && b[4]-'0' <= 9 {
		return code, b[:5], b[6:]
	}
	if n := dsn(b); n > 0 {
		status, b = b[:n], b[n:]
		if len(b) > 0 {
			b = b[1:]
		}
	}
	return code, status, b
}

// dsn is the length of an enhanced status code "5.7.25" in front of a blank
// or the end.
func dsn(b []byte) int {
	if len(b) < 5 || b[0] != '2' && b[0] != '4' && b[0] != '5' || b[1] != '.' {
		return 0
	}
	i, dots := 2, 0
	for run := 0; i < len(b) && b[i] != ' '; i++ {
		switch {
		case b[i]-'0' <= 9 && run < 3:
			run++
		case b[i] == '.' && run > 0 && dots == 0:
			dots, run = 1, 0
		default:
			return 0
		}
	}
	if dots == 0 || b[i-1] == '.' {
		return 0
	}
	return i
}

// queuedClient reads NAMADDR behind "client=".
func queuedClient(b []byte, ev *Event) Kind {
	b, ok := nameAddr(b, ev)
	if !ok {
		return KindUnknown
	}
	return queuedBy(b, ev)
}

// queuedBy reads what stands behind the client. Only ", sasl_method=" right
// there says that it authenticated: sasl_sender= is its text and can imitate it.
func queuedBy(b []byte, ev *Event) Kind {
	if len(b) == 0 {
		return SMTPDQueued
	}
	method, ok := cut(b, ", sasl_method=")
	if !ok {
		if has(b, ", sasl_") || has(b, ", orig_") {
			return SMTPDQueued
		}
		return KindUnknown
	}
	method, b = until(method, ", ")
	ev.set(SASLMethod, method)
	if b, ok = cut(b, ", sasl_username="); ok {
		user, rest := until(b, ", sasl_sender=")
		if rest == nil {
			if user, rest = until(b, ", orig_queue_id="); rest == nil {
				user, _ = until(b, ", orig_client=")
			}
		}
		ev.set(SASLUser, user)
	}
	return SMTPDQueuedAuth
}
