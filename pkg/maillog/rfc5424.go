package maillog

import "bytes"

// priority reads "<22>1 ..." (RFC 5424) or "<22>Nov 23 ..." (RFC 3164 with
// its priority).
func priority(b []byte, ev *Event) bool {
	pri, rest, ok := number(b[1:])
	if !ok || pri > 191 || len(rest) < 2 || rest[0] != '>' {
		return false
	}
	b = rest[1:]
	if !has(b, "1 ") {
		if n := stamp3164(b, &ev.Stamp); n > 0 {
			return afterStamp(b[n:], ev, false)
		}
		return false
	}
	// TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG
	stamp, b := word(b[2:])
	if n := stampISO(stamp, &ev.Stamp); n == 0 || n != len(stamp) || ev.Stamp.Offset == NoOffset {
		return false // "-": no time, no event
	}
	host, b := word(b)
	app, b := word(b)
	proc, b := word(b)
	id, b := word(b)
	if len(host) == 0 || len(app) == 0 || len(proc) == 0 || len(id) == 0 || len(b) == 0 {
		return false
	}
	n := structuredData(b)
	if n == 0 {
		return false
	}
	if len(b) > n && b[n] != ' ' {
		return false
	}
	b = b[n:]
	// rsyslog's template puts a blank of its own before the one that MSG
	// begins with.
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	b, _ = cut(b, "\xef\xbb\xbf")
	if string(host) != "-" {
		ev.set(Host, host)
	}
	if string(app) != "-" {
		ev.set(Tag, app)
	}
	if pid, rest, ok := number(proc); ok && len(rest) == 0 {
		ev.PID = pid
	}
	ev.set(Message, b)
	return ev.texts[Tag].n != 0 || isRepeat(b)
}

// structuredData is the length of "-" or of a row of [elements], 0 when b
// begins with neither. A quoted value may hold any byte; quote, backslash and
// bracket are escaped in it (RFC 5424 section 6.3.3).
func structuredData(b []byte) int {
	if b[0] == '-' {
		return 1
	}
	i := 0
	for i < len(b) && b[i] == '[' {
		quoted := false
		for i++; ; i++ {
			if i >= len(b) {
				return 0
			}
			c := b[i]
			if quoted && c == '\\' {
				i++
			} else if c == '"' {
				quoted = !quoted
			} else if c == ']' && !quoted {
				break
			}
		}
		i++
	}
	return i
}

// containerLine takes "stdout F " (CRI) off, or says that b is a whole line
// of its own behind the stamp of docker logs -t.
func containerLine(b []byte) (inner []byte, ok bool) {
	if has(b, "stdout ") || has(b, "stderr ") {
		b = b[7:]
		// P is the head of a line over 16 KiB. Its client stands near the
		// start; what follows in the next line has no envelope.
		if has(b, "F ") || has(b, "P ") {
			return b[2:], true
		}
		return nil, false
	}
	var s Stamp
	n := stamp3164(b, &s)
	if n == 0 && b[0]-'0' <= 9 {
		n = stampISO(b, &s)
	}
	return b, n > 0 && n < len(b) && b[n] == ' '
}

// compose takes "postfix-1  | " (docker compose logs) off.
func compose(b []byte, ev *Event) bool {
	i := 0
	for i < len(b) && i < 64 && nameByte[b[i]] {
		i++
	}
	if i == 0 {
		return false
	}
	j := i
	for j < len(b) && j < 128 && b[j] == ' ' {
		j++
	}
	if j == i || j+2 >= len(b) || b[j] != '|' || b[j+1] != ' ' {
		return false
	}
	b = b[j+2:]
	if n := stampISO(b, &ev.Stamp); n > 0 {
		return afterStamp(b[n:], ev, true)
	}
	return plain(b, ev)
}

// jsonFile reads one line of docker's json-file driver. Message may still
// hold JSON escapes then; [unescape] takes them out.
func jsonFile(b []byte, ev *Event) bool {
	b, ok := cut(b, `{"log":"`)
	if !ok {
		return false
	}
	end := 0
	for ; end < len(b) && b[end] != '"'; end++ {
		if b[end] == '\\' {
			end++
		}
	}
	if end >= len(b) {
		return false
	}
	log, tail := b[:end], b[end:]
	if ends(log, `\n`) && !ends(log, `\\n`) {
		log = log[:len(log)-2]
	}
	if !plain(log, ev) {
		return false
	}
	if i := bytes.LastIndex(tail, []byte(`"time":"`)); i >= 0 {
		var s Stamp
		t := tail[i+len(`"time":"`):]
		if n := stampISO(t, &s); n > 0 && string(t[n:]) == `"}` {
			ev.Stamp = s
		}
	}
	ev.escaped = bytes.IndexByte(ev.Text(Message), '\\') >= 0
	return bytes.IndexByte(ev.Text(Tag), '\\') < 0 && bytes.IndexByte(ev.Text(Host), '\\') < 0
}
