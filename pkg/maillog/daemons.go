package maillog

import "bytes"

// tlsproxy reads a message of tlsproxy(8) about a client of postscreen; what
// it writes of its other work, TLS towards remote servers, is none.
func tlsproxy(m []byte, ev *Event) Kind {
	if b, ok := cut(m, "CONNECT from "); ok {
		return orNone(psClient(b, "", TLSProxyConnect, ev))
	}
	if b, ok := cut(m, "DISCONNECT "); ok {
		return orNone(psClient(b, "", TLSProxyDisconnect, ev))
	}
	if b, ok := tlsFrom(m); ok {
		if b, ok = psAddr(b, ev); ok && (has(b, ":") || has(b, " to ")) {
			return TLSProxyTLSEstablished
		}
		return KindNone
	}
	if b, ok := cut(m, "SSL_accept error from "); ok {
		return orNone(psClient(b, ":", TLSProxyTLSFail, ev))
	}
	if b, ok := cut(m, "TLS handshake failed for service=smtpd peer="); ok {
		return orNone(psClient(b, "", TLSProxyTLSFail, ev))
	}
	return KindNone
}

func orNone(k Kind) Kind {
	if k == KindUnknown {
		return KindNone
	}
	return k
}

// dnsblog reads "addr ADDR listed by domain ZONE as 127.0.0.2".
func dnsblog(m []byte, ev *Event) Kind {
	b, ok := cut(m, "addr ")
	if !ok {
		return KindNone
	}
	addr, b := word(b)
	if a, ok := parseAddr(addr); ok && has(b, "listed by domain ") {
		ev.Client = a
		return DNSBlogListed
	}
	return KindNone
}

// anvil reads "statistics: max connection rate N/60s for (SERVICE:ADDR) at
// Mon DD HH:MM:SS", a peak that is over long since.
func anvil(m []byte, ev *Event) Kind {
	b, ok := cut(m, "statistics: max ")
	if !ok || has(b, "cache size ") {
		return KindNone
	}
	_, b = until(b, " for (")
	if b == nil {
		return KindNone
	}
	b, rest := until(b[len(" for ("):], ") at ")
	if rest == nil {
		return KindNone
	}
	service, addr := anvilParts(b)
	if addr == nil {
		return KindNone
	}
	ev.set(Service, service)
	// Since 3.8 it can be a prefix, which is no client.
	ev.Client, _ = parseAddr(addr)
	return AnvilStat
}

// anvilParts splits "SERVICE:ADDR". SERVICE is the name in master.cf: a word,
// a port, "host:port" or "[address]:port".
func anvilParts(b []byte) (service, addr []byte) {
	i := bytes.IndexByte(b, ':')
	if has(b, "[") {
		j := bytes.Index(b, []byte("]:"))
		if j < 0 {
			return nil, nil
		}
		i = j + 1
	}
	if i < 0 {
		return nil, nil
	}
	host := b[:i]
	if j := bytes.IndexByte(b[i+1:], ':'); j > 0 && digits(b[i+1:i+1+j]) &&
		(b[0] == '[' || bytes.IndexByte(host, '.') >= 0 || string(host) == "localhost") {
		i += 1 + j
	}
	return b[:i], b[i+1:]
}

// qmgr tells the activation of a message, "QID: from=<S>, size=N, nrcpt=N
// (queue active)", from all else.
func qmgr(m []byte, ev *Event) Kind {
	if !ends(m, " (queue active)") {
		return KindNone
	}
	id, b, ok := queueID(m)
	if !ok || id == nil || !has(b, "from=<") {
		return KindNone
	}
	ev.set(QueueID, id)
	ev.Commands.Mail = Tally{1, 1}
	if i := bytes.LastIndexByte(b[:len(b)-len(" (queue active)")], '='); ends(b[:i+1], ", nrcpt=") {
		ev.Commands.Rcpt, _ = readTally(b[i+1:])
	}
	return KindActive
}

// cleanup reads a message of cleanup(8). In the forms about a header or the
// body the client stands behind text of the message, so it is left to the
// queue ID; milter-reject and its kin name it at a fixed place.
func cleanup(m []byte, ev *Event) Kind {
	id, b, ok := queueID(m)
	if !ok || id == nil || has(b, "message-id=") || has(b, "resent-message-id=") {
		return KindNone
	}
	i := 0
	for i < len(b) && (b[i] >= 'a' && b[i] <= 'z' || b[i] == '-') {
		i++
	}
	word := b[:i]
	if b, ok = cut(b[i:], ": "); !ok {
		return KindNone
	}
	k := cleanupKind(word)
	switch k {
	case KindNone:
	case CleanupMilterReject, CleanupMilterHold, CleanupMilterDiscard:
		k = cleanupMilter(b, k, ev)
	case CleanupMilterHeader:
	default:
		if !has(b, "header ") && !has(b, "body ") && !has(b, "mime-error ") && !has(b, "content ") && !has(b, "nested ") {
			return KindNone
		}
		cleanupFields(b, ev)
	}
	if k != KindNone {
		ev.set(QueueID, id)
	}
	return k
}

func cleanupKind(word []byte) Kind {
	switch string(word) {
	case "reject":
		return CleanupReject
	case "warning":
		return CleanupWarning
	case "info":
		return CleanupInfo
	case "filter":
		return CleanupFilter
	case "pass":
		return CleanupPass
	case "discard":
		return CleanupDiscard
	case "hold":
		return CleanupHold
	case "delay":
		return CleanupDelay
	case "prepend":
		return CleanupPrepend
	case "replace":
		return CleanupReplace
	case "redirect":
		return CleanupRedirect
	case "bcc":
		return CleanupBcc
	case "strip":
		return CleanupStrip
	case "milter-reject":
		return CleanupMilterReject
	case "milter-hold":
		return CleanupMilterHold
	case "milter-discard":
		return CleanupMilterDiscard
	}
	if has(word, "milter-header-") {
		return CleanupMilterHeader
	}
	return KindNone
}

// cleanupMilter reads "EVENT from NAME[ADDR]: TEXT; fields"; an ORIGIN that
// is no address (local mail) leaves the client out.
func cleanupMilter(b []byte, k Kind, ev *Event) Kind {
	b, ok := where(b, ev)
	if ok {
		b, ok = cut(b, " from ")
	}
	if !ok {
		ev.Stage = NoStage
		return KindNone
	}
	if rest, ok := nameAddr(b, ev); ok {
		b = rest
	}
	if b, ok = cut(b, ": "); !ok {
		return k
	}
	fields(b, ev)
	if k == CleanupMilterReject {
		ev.Reason = milterReason(reply(b, ev), ev)
	}
	return k
}

// cleanupFields reads "CONTENT from ORIGIN; from=<S> to=<R> proto=P helo=<H>:
// TEXT" from the last helo= on: CONTENT is the client's, TEXT the operator's.
func cleanupFields(b []byte, ev *Event) {
	i := bytes.LastIndex(b, []byte(" helo=<"))
	if i < 0 {
		return
	}
	helo, text := until(b[i:], ">")
	if text == nil {
		return
	}
	if _, complete := backwards(b[:i+len(helo)+1], ev); !complete {
		forget(ev)
		return
	}
	if t, ok := cut(text, ">: "); ok {
		reply(t, ev)
	}
}
