package maillog

import "bytes"

// Parse reads one line, with or without its line end, into ev, which it
// resets. It is stateless and does not allocate (but see [Split]).
//
// It returns true when ev holds an event, a repeat or a queue activation, and
// false when ev.Kind is [KindNone] (of no interest), [KindNoTime] (the line
// begins with no time) or [KindUnknown] (a line of a program with a grammar
// that no form matches).
func Parse(line []byte, ev *Event) bool {
	b, ok := trimEnd(line), false
	*ev = Event{line: b}
	if n := stamp3164(b, &ev.Stamp); n > 0 { // nearly all lines
		if p, ok := quick(b[n:], ev); ok {
			return classify(ev, p)
		}
		ok = afterStamp(b[n:], ev, false)
	} else {
		ok = envelope(b, ev)
	}
	if !ok {
		timed := ev.Stamp.Month != 0
		*ev = Event{}
		if !timed && len(bytes.Trim(b, "\x00 \t")) > 0 {
			ev.Kind = KindNoTime
		}
		return false
	}
	return classify(ev, programOf(ev.Text(Tag)))
}

// parseMessage reads an event from the envelope that is in ev already: Stamp,
// Host, Tag, PID and Message. It resets everything else.
func parseMessage(ev *Event) bool {
	ev.reset()
	return classify(ev, programOf(ev.Text(Tag)))
}

// reset clears everything but the envelope.
func (e *Event) reset() {
	x := Event{Stamp: e.Stamp, PID: e.PID, line: e.line, escaped: e.escaped}
	copy(x.texts[:], e.texts[:Message+1]) // Host, Tag, Message
	*e = x
}

// A program is a daemon whose messages have a grammar.
type program uint8

const (
	noProgram program = iota
	smtpdProgram
	postscreenProgram
	cleanupProgram
	qmgrProgram
	anvilProgram
	dnsblogProgram
	tlsproxyProgram
	dovecotProgram
	lostProgram // rsyslog's RFC 5424 template cut "postfix/smtpd" to "postfix"
)

// programOf names the daemon of a tag: what stands after the last slash.
// Without a slash it is no Postfix daemon ("smtpd" alone is OpenSMTPD), but
// for the tags that rsyslog cuts.
func programOf(tag []byte) program {
	if string(tag) == "postfix/smtpd" { // most lines
		return smtpdProgram
	}
	i := len(tag) - 1
	for i >= 0 && tag[i] != '/' {
		i--
	}
	if i < 0 {
		if string(tag) == "dovecot" {
			return dovecotProgram
		}
		if has(tag, "postfix") {
			return lostProgram
		}
		return noProgram
	}
	switch string(tag[i+1:]) {
	case "smtpd":
		return smtpdProgram
	case "postscreen":
		return postscreenProgram
	case "cleanup":
		return cleanupProgram
	case "qmgr":
		return qmgrProgram
	case "anvil":
		return anvilProgram
	case "dnsblog":
		return dnsblogProgram
	case "tlsproxy":
		return tlsproxyProgram
	}
	return noProgram
}

// classify reads the message of ev, which program p wrote; its envelope is
// complete and its other fields are zero.
func classify(ev *Event, p program) bool {
	if p == noProgram {
		if tag := ev.Text(Tag); len(tag) == 0 || string(tag) == "syslogd" {
			if n, ok := repeatCount(ev.Text(Message)); ok {
				ev.Kind, ev.Repeat = KindRepeat, n
				return true
			}
		}
		return false
	}
	if ev.escaped && !unescape(ev) {
		return false
	}
	m := ev.Text(Message)
	if len(m) == 0 {
		return false
	}
	if m[0] == 'm' && has(m, "message repeated ") {
		if m = repeated(ev); len(m) == 0 {
			return false
		}
	}
	var k Kind
	switch p {
	case smtpdProgram:
		tag := ev.Text(Tag)
		service := tagService(tag)
		ev.set(Service, service)
		ev.door = 1 + uint8(SMTP)
		if string(tag) != "postfix/smtpd" && loginService(service) {
			ev.door = 1 + uint8(Login)
		}
		k = smtpd(m, ev, nil)
	case postscreenProgram:
		ev.door = 1 + uint8(SMTP)
		k = postscreen(m, ev)
	case cleanupProgram:
		k = cleanup(m, ev)
	case qmgrProgram:
		k = qmgr(m, ev)
	case anvilProgram:
		k = anvil(m, ev)
	case dnsblogProgram:
		k = dnsblog(m, ev)
	case tlsproxyProgram:
		k = tlsproxy(m, ev)
	case dovecotProgram:
		k = dovecot(m, ev)
	case lostProgram:
		k = lost(m, ev)
	}
	ev.Kind = k
	if k > KindUnknown {
		return true
	}
	if p != qmgrProgram && p != cleanupProgram { // those set nothing then
		ev.failed()
	}
	return false
}

// failed clears what a form that failed half-way has set.
func (e *Event) failed() {
	k, repeat := e.Kind, e.Repeat
	e.reset()
	e.Kind, e.Repeat = k, repeat
}

// repeated takes rsyslog's "message repeated 3 times: [ MSG]" off a message.
// No client can write at the start of a message; inside its text the words
// mean nothing.
func repeated(ev *Event) []byte {
	m := ev.Text(Message)
	n, b, ok := number(m[len("message repeated "):])
	if !ok || n == 0 {
		return m
	}
	b, ok = cut(b, " times: [ ")
	if !ok {
		return m
	}
	if ends(b, "]") {
		b = b[:len(b)-1]
	}
	ev.Repeat = n
	ev.set(Message, b)
	return b
}

// lost reads a message whose daemon is not known: only the forms that smtpd
// or postscreen alone write, anchored at the first byte, and qmgr's and
// cleanup's that are as unmistakable. What matches none is of no interest,
// for it may be any daemon's.
func lost(m []byte, ev *Event) Kind {
	if k := smtpd(m, ev, nil); k > KindUnknown {
		if ev.Stage == StageEndOfMessage { // the milter reported to cleanup
			switch k {
			case SMTPDMilterReject:
				return CleanupMilterReject
			case SMTPDMilterHold:
				return CleanupMilterHold
			case SMTPDMilterDiscard:
				return CleanupMilterDiscard
			}
		}
		return k
	}
	ev.failed()
	if k := postscreen(m, ev); k > KindUnknown {
		if k == PostscreenConnect && !bytes.Contains(m, []byte(" to [")) {
			return KindNone // tlsproxy's, or that of postscreen 2.8
		}
		return k
	}
	ev.failed()
	if k := qmgr(m, ev); k > KindUnknown {
		return k
	}
	return KindNone
}
