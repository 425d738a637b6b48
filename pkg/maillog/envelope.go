package maillog

import "bytes"

// Split takes a line apart into its envelope (Stamp, Host, Tag, PID, Message)
// and nothing else, for rules with a pattern of their own. It resets ev; ok
// is false when the line has no envelope that carries a time.
//
// The forms are those of RFC 3164 (rsyslog, sysklogd, busybox with and
// without host, FreeBSD -v, Solaris, postlogd), ISO 8601, RFC 5424, journalctl
// short, short-precise, short-iso, short-full, with-unit and short-unix, and
// any of them behind the prefix of docker logs -t, docker compose, CRI or in a
// docker json-file. Splitting the last allocates when the message holds JSON
// escapes; no other form ever does.
func Split(line []byte, ev *Event) (ok bool) {
	b := trimEnd(line)
	*ev = Event{line: b}
	return envelope(b, ev) && unescape(ev)
}

// envelope fills the envelope fields of ev, which must be zero, from a line
// without its end.
func envelope(b []byte, ev *Event) bool {
	for len(b) > 0 && b[0] == 0 { // a file system hole left by a crash
		b = b[1:]
	}
	if n := stamp3164(b, &ev.Stamp); n > 0 { // nearly all lines
		return afterStamp(b[n:], ev, false)
	}
	if len(b) < 16 {
		return false
	}
	switch c := b[0]; {
	case c-'0' <= 9:
		if n := stampISO(b, &ev.Stamp); n > 0 {
			return afterStamp(b[n:], ev, true)
		}
		if n := stampUnix(b, &ev.Stamp); n > 0 {
			return afterStamp(b[n:], ev, false)
		}
	case c == '<':
		return priority(b, ev)
	case c == '{':
		return jsonFile(b, ev)
	case c >= 'A' && c <= 'Z' && b[3] == ' ':
		if n := stampISO(b[4:], &ev.Stamp); n > 0 && b[14] == ' ' {
			return shortFull(b[4+n:], ev)
		}
	}
	return compose(b, ev)
}

// plain reads a line as a program in a container writes it.
func plain(b []byte, ev *Event) bool {
	if n := stamp3164(b, &ev.Stamp); n > 0 {
		return afterStamp(b[n:], ev, false)
	}
	if n := stampISO(b, &ev.Stamp); n > 0 {
		return afterStamp(b[n:], ev, false)
	}
	return false
}

// trimEnd takes the line end off, and what is behind [maxText].
func trimEnd(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
	}
	if n := len(b); n > 0 && b[n-1] == '\r' {
		b = b[:n-1]
	}
	return b[:min(len(b), maxText)]
}

// afterStamp reads " HOST TAG[PID]: MSG" and its variants. With container
// set the stamp may be that of a container log in front of a whole line.
func afterStamp(b []byte, ev *Event, container bool) bool {
	if len(b) < 2 || b[0] != ' ' {
		return false
	}
	blank := b
	b = b[1:]
	if container {
		if inner, ok := containerLine(b); ok {
			// The container's clock is the same, but only the outer stamp
			// has a year and a zone.
			s := ev.Stamp
			if !plain(inner, ev) {
				return false
			}
			ev.Stamp = s
			return true
		}
		if _, ok := quick(blank, ev); ok { // the caller has tried where container is not set
			return true
		}
	}
	if b[0] == '<' { // FreeBSD syslogd -v: <mail.info> or <2.6>
		if i := bytes.IndexByte(b[:min(len(b), 32)], '>'); i > 0 && len(b) > i+2 && b[i+1] == ' ' {
			b = b[i+2:]
		}
	}
	// HOST is the first word unless that is a tag already (busybox -S).
	i := 0
	for i < len(b) && b[i] != ' ' {
		i++
	}
	if i == 0 || i == len(b) {
		return false
	}
	if b[i-1] == ':' || b[i-1] == 't' && has(b, "last message repeated ") || has(b, "--- last message repeated ") {
		return tagged(b, ev)
	}
	ev.set(Host, b[:i])
	b = b[i+1:]
	if !has(b, "postfix/") {
		b = b[facilityLevel(b):]
	}
	return tagged(b, ev)
}

// facilityLevel is the length of busybox's "mail.warn " in front of a tag.
func facilityLevel(b []byte) int {
	i, dot := 0, 0
	for i < len(b) && (b[i] >= 'a' && b[i] <= 'z' || b[i]-'0' <= 9 || b[i] == '.') {
		if b[i] == '.' {
			dot = i
		}
		i++
	}
	if dot > 0 && dot < i-1 && i < len(b) && b[i] == ' ' {
		return i + 1
	}
	return 0
}

// tagged reads "TAG[PID]: MSG". "last message repeated N times" stands in the
// place of the tag and becomes a Message without Tag.
func tagged(b []byte, ev *Event) bool {
	i := 0
	if has(b, "postfix/smtpd[") { // most lines
		i = len("postfix/smtpd")
	} else {
		for i < len(b) && !tagEnd[b[i]] {
			i++
		}
		if i == len(b) || i == 0 {
			return false
		}
	}
	tag := b[:i]
	switch b[i] {
	case ' ':
		if string(tag) == "last" || string(tag) == "---" {
			ev.set(Message, b)
			return isRepeat(b)
		}
		return false
	case '[':
		pid, rest, ok := number(b[i+1:])
		if !ok || len(rest) < 2 || rest[0] != ']' || rest[1] != ':' {
			return false
		}
		ev.PID = pid
		b = rest[2:]
	default:
		b = b[i+1:]
	}
	ev.set(Tag, tag)
	if len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	if len(b) > 0 && b[0] == '[' && has(b, "[ID ") { // Solaris
		if j := bytes.IndexByte(b[:min(len(b), 48)], ']'); j > 0 && len(b) > j+1 && b[j+1] == ' ' {
			b = b[j+2:]
		}
	}
	ev.set(Message, b)
	return true
}

// tagEnd holds the bytes that end a tag.
var tagEnd = [256]bool{'[': true, ':': true, ' ': true}

// isRepeat reports whether m is syslogd's "last message repeated".
func isRepeat(m []byte) bool {
	_, ok := repeatCount(m)
	return ok
}

// repeatCount reads "last message repeated N times".
func repeatCount(m []byte) (n uint32, ok bool) {
	m, mac := cut(m, "--- ")
	m, ok = cut(m, "last message repeated ")
	if !ok {
		return 0, false
	}
	n, m, ok = number(m)
	if !ok || n == 0 {
		return 0, false
	}
	if mac {
		return n, string(m) == " times ---" || string(m) == " time ---"
	}
	return n, string(m) == " times" || string(m) == " time"
}

// shortFull reads " UTC HOST TAG..." after the date of journalctl -o
// short-full. Zone abbreviations other than UTC are ambiguous ("IST"), so
// they stand for the zone of the source; those that zones without a name have
// ("-03", "+0530") are offsets.
func shortFull(b []byte, ev *Event) bool {
	if len(b) < 2 || b[0] != ' ' {
		return false
	}
	zone, rest := word(b[1:])
	if len(zone) == 0 || len(zone) > 6 || len(rest) == 0 {
		return false
	}
	if string(zone) == "UTC" || string(zone) == "GMT" {
		ev.Stamp.Offset = 0
	} else if o, n := zoneOffset(zone); n > 0 && n == len(zone) {
		ev.Stamp.Offset = o
	}
	return afterStamp(b[1+len(zone):], ev, false)
}
