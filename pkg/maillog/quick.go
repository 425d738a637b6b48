package maillog

// What the tags of Postfix begin with and what its daemons are called, as
// words of eight bytes.
const (
	wPostfix  = 'p' | 'o'<<8 | 's'<<16 | 't'<<24 | 'f'<<32 | 'i'<<40 | 'x'<<48 | '/'<<56
	wSmtpd    = 's' | 'm'<<8 | 't'<<16 | 'p'<<24 | 'd'<<32 | '['<<40
	wPostscre = 'p' | 'o'<<8 | 's'<<16 | 't'<<24 | 's'<<32 | 'c'<<40 | 'r'<<48 | 'e'<<56
	wCleanup  = 'c' | 'l'<<8 | 'e'<<16 | 'a'<<24 | 'n'<<32 | 'u'<<40 | 'p'<<48 | '['<<56
	wQmgr     = 'q' | 'm'<<8 | 'g'<<16 | 'r'<<24 | '['<<32
	wSMTP     = 's' | 'm'<<8 | 't'<<16 | 'p'<<24 | '['<<32
	wLMTP     = 'l' | 'm'<<8 | 't'<<16 | 'p'<<24 | '['<<32
	wSubmissi = 's' | 'u'<<8 | 'b'<<16 | 'm'<<24 | 'i'<<32 | 's'<<40 | 's'<<48 | 'i'<<56

	low4 = 1<<32 - 1
	low5 = 1<<40 - 1
	low6 = 1<<48 - 1
)

// quick reads " HOST postfix/DAEMON[PID]: MSG" behind a stamp, the form of
// nearly all lines, for the daemons that write most of them. ok is false when
// b is anything else, or may be; ev is not touched then.
func quick(b []byte, ev *Event) (p program, ok bool) {
	if len(b) < 36 || b[0] != ' ' || b[1] == '<' {
		return noProgram, false
	}
	b = b[1:]
	i := 0
	for {
		if m := equal(load(b, i), ' '); m != 0 {
			i += first(m)
			break
		}
		if i += 8; len(b)-i < 36 {
			return noProgram, false
		}
	}
	t := b[i:] // with the blank
	if len(t) < 34 || i == 0 || b[i-1] == ':' || load(t, 1) != wPostfix {
		return noProgram, false
	}
	end := 0 // of the tag, in t
	switch w := load(t, 9); {
	case w&low6 == wSmtpd:
		p, end = smtpdProgram, len(" postfix/smtpd")
	case w == wCleanup:
		p, end = cleanupProgram, len(" postfix/cleanup")
	case w&low5 == wQmgr:
		p, end = qmgrProgram, len(" postfix/qmgr")
	case w&low5 == wSMTP, w&low5 == wLMTP:
		end = len(" postfix/smtp")
	case w == wSubmissi && has(t[17:], "on/smtpd["):
		p, end = smtpdProgram, len(" postfix/submission/smtpd")
	case w == wPostscre && has(t[17:], "en["):
		p, end = postscreenProgram, len(" postfix/postscreen")
	default:
		return noProgram, false
	}
	d := load(t, end+1) ^ '0'*each
	n := first(noDigit(d))
	m := t[end+1+n:]
	if uint(n-1) > 6 || len(m) < 4 || m[0] != ']' || m[1] != ':' || m[2] != ' ' || m[3] == '[' {
		return noProgram, false
	}
	ev.set(Host, b[:i])
	ev.set(Tag, t[1:end])
	ev.set(Message, m[3:])
	ev.PID = decimal(d, n)
	return p, true
}
