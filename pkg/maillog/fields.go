package maillog

import (
	"bytes"
	"math/bits"
)

// fields reads the fields behind the text of an action,
//
//	TEXT; from=<S> to=<R> proto=P helo=<H> sasl_method=M sasl_username=U sasl_sender=X
//
// backwards from the end: TEXT, S and R can hold anything, but HELO has lost
// its blanks and brackets by the time most lines are written, and since 3.5
// the local parts of S and R are quoted where they hold either. What cannot be
// read for sure stays nil. It all is the client's word: good for counting and
// for display, never for blame.
func fields(b []byte, ev *Event) {
	if ev.Stage == StageRcpt && plainFields(b, ev) {
		return // nearly all
	}
	head, complete := backwards(b, ev)
	if !complete && bytes.Contains(b, []byte("> sasl_")) {
		head, complete = saslFields(b, ev)
	}
	switch {
	case bytes.Contains(head, []byte(" sasl_sender=")):
		// A sender parameter that plays a whole set of fields.
		forget(ev)
	case ev.Stage == StageHelo || ev.Stage == StageEhlo:
		// HELO is raw in the line about itself.
		if !complete || bytes.Count(b, []byte(" helo=<")) > 1 {
			forget(ev)
		}
	case !complete:
		ev.texts[Sender] = span{}
		if r := ev.Text(Recipient); r == nil || !object(head, r) {
			ev.texts[Recipient] = span{}
		}
	}
}

// plainFields reads "TEXT; from=<S> to=<R> proto=P helo=<H>" as [backwards]
// does, when P is ESMTP or SMTP, no local part is quoted and there is no "=" in
// TEXT; else it sets nothing.
func plainFields(b []byte, ev *Event) bool {
	helo := stopBefore(b, len(b)-1)
	if helo < 32 || b[len(b)-1] != '>' || b[helo] != '<' || load(b, helo-8)>>16 != wHelo {
		return false
	}
	proto := helo - len(" helo=")
	to := proto // the end of " to=<R>"
	switch w := load(b, proto-8); {
	case w == wESMTP && load(b, proto-12)<<32 == wPro:
		to, proto = proto-len(" proto=ESMTP"), proto-len("ESMTP")
	case w == wSMTPProto && load(b, proto-11)<<40 == wPr:
		to, proto = proto-len(" proto=SMTP"), proto-len("SMTP")
	default:
		return false
	}
	r := stopBefore(b, to-1)
	if r < 8 || b[to-1] != '>' || b[r] != '<' || load(b, r-8)>>32 != wTo {
		return false
	}
	from := r - len(" to=")
	s := stopBefore(b, from-1)
	if s < 8 || b[from-1] != '>' || b[s] != '<' || load(b, s-8)>>8 != wFrom || bytes.IndexByte(b[:s-6], '=') >= 0 {
		return false
	}
	ev.set(Helo, b[helo+1:len(b)-1])
	ev.set(Proto, b[proto:helo-len(" helo=")])
	ev.set(Recipient, b[r+1:to-1])
	ev.set(Sender, b[s+1:from-1])
	return true
}

const (
	wHelo      = ' ' | 'h'<<8 | 'e'<<16 | 'l'<<24 | 'o'<<32 | '='<<40
	wESMTP     = 't' | 'o'<<8 | '='<<16 | 'E'<<24 | 'S'<<32 | 'M'<<40 | 'T'<<48 | 'P'<<56
	wPro       = ' '<<32 | 'p'<<40 | 'r'<<48 | 'o'<<56
	wSMTPProto = 'o' | 't'<<8 | 'o'<<16 | '='<<24 | 'S'<<32 | 'M'<<40 | 'T'<<48 | 'P'<<56
	wPr        = ' '<<40 | 'p'<<48 | 'r'<<56
	wTo        = ' ' | 't'<<8 | 'o'<<16 | '='<<24
	wFrom      = ';' | ' '<<8 | 'f'<<16 | 'r'<<24 | 'o'<<32 | 'm'<<40 | '='<<48
)

func forget(ev *Event) {
	for t := Helo; t <= SASLUser; t++ {
		ev.texts[t] = span{}
	}
}

// object reports whether a reply text, behind its codes, is about <r>.
func object(text, r []byte) bool {
	_, _, text = codes(text)
	return sameObject(text, r) > 0
}

// backwards reads helo, proto, to and from off the end of b. complete says
// that the "; " in front of the first field was reached.
func backwards(b []byte, ev *Event) (head []byte, complete bool) {
	if i := lastAngle(b, false); i >= 0 && ends(b[:i], " helo=") {
		ev.set(Helo, b[i+1:len(b)-1])
		b = b[:i-len(" helo=")]
	}
	if ends(b, " proto=ESMTP") {
		ev.set(Proto, b[len(b)-len("ESMTP"):])
		b = b[:len(b)-len(" proto=ESMTP")]
	} else if i := bytes.LastIndexByte(b, ' '); i >= 0 && has(b[i+1:], "proto=") {
		ev.set(Proto, b[i+1+len("proto="):])
		b = b[:i]
	}
	if i := lastAngle(b, true); i >= 0 && ends(b[:i], " to=") {
		ev.set(Recipient, b[i+1:len(b)-1])
		b = b[:i-len(" to=")]
	}
	if i := lastAngle(b, true); i >= 0 && ends(b[:i], " from=") {
		ev.set(Sender, b[i+1:len(b)-1])
		b = b[:i-len(" from=")]
	}
	return b, ends(b, ";")
}

// lastAngle is the index of the "<" that belongs to the ">" at the end of b,
// or -1. Between them stands no blank nor bracket, but in the quoted local
// part of an address.
func lastAngle(b []byte, address bool) int {
	if !ends(b, ">") {
		return -1
	}
	for i := stopBefore(b, len(b)-1); i >= 0; i = stopBefore(b, i) {
		switch b[i] {
		case '<':
			return i
		case '"':
			if !address {
				continue
			}
			if b[i+1] != '@' && i != len(b)-2 {
				return -1
			}
			return openQuote(b[:i])
		}
		return -1
	}
	return -1
}

// stopBefore is the index of the last bracket, blank or quote in b[:end], or
// -1.
func stopBefore(b []byte, end int) int {
	for ; end >= 8 && end <= len(b); end -= 8 {
		// '<' and '>', and ' ' and '"', differ in one and the same bit.
		w := load(b, end-8) &^ (each << 1)
		if m := equal(w, '<') | equal(w, ' '); m != 0 {
			return end - 1 - bits.LeadingZeros64(m)>>3
		}
	}
	for i := end - 1; i >= 0; i-- {
		if c := b[i] &^ 2; c == '<' || c == ' ' {
			return i
		}
	}
	return -1
}

// openQuote is the index of the "<" in front of the quote that opens a local
// part; b ends in front of the one that closes it. Inside, a quote has a
// backslash.
func openQuote(b []byte) int {
	for i := len(b) - 1; i > 0; i-- {
		if b[i] != '"' {
			continue
		}
		slashes := 0
		for slashes < i && b[i-1-slashes] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			if b[i-1] == '<' {
				return i - 1
			}
			return -1
		}
	}
	return -1
}

// saslFields reads the fields of 3.10 (and milter-reject's "sasl_username=<U>"
// of 3.2), which stand behind helo, when the words occur only once.
func saslFields(b []byte, ev *Event) (head []byte, complete bool) {
	i := bytes.Index(b, []byte("> sasl_"))
	tail := b[i+1:]
	if bytes.Contains(tail, []byte("> sasl_")) {
		forget(ev)
		return nil, false
	}
	forget(ev)
	head, complete = backwards(b[:i+1], ev)
	if !complete {
		return head, false
	}
	tail, _ = until(tail, " sasl_sender=")
	if m, ok := cut(tail, " sasl_method="); ok {
		method, _ := word(m)
		ev.set(SASLMethod, method)
		tail = m[len(method):]
	}
	if u, ok := cut(tail, " sasl_username="); ok && len(u) > 0 {
		if u[0] == '<' && ends(u, ">") {
			u = u[1 : len(u)-1]
		}
		ev.set(SASLUser, u)
	}
	return head, true
}

// commaFields reads the fields of postscreen, "; from=<S>, to=<R>, proto=P,
// helo=<H>". H is the first word of what the client said, without blanks but
// with any bracket.
func commaFields(b []byte, ev *Event) {
	i := bytes.LastIndexByte(b, ' ')
	if h, ok := cut(b[i+1:], "helo=<"); ok && i > 0 && ends(h, ">") {
		ev.set(Helo, h[:len(h)-1])
		b = b[:i]
		b = b[:len(b)-commaLen(b)]
	}
	if i = bytes.LastIndexByte(b, ' '); i >= 0 && has(b[i+1:], "proto=") {
		ev.set(Proto, b[i+1+len("proto="):])
		b = b[:i]
		b = b[:len(b)-commaLen(b)]
	}
	if i = lastAngle(b, true); i >= 0 && ends(b[:i], " to=") {
		ev.set(Recipient, b[i+1:len(b)-1])
		b = b[:i-len(" to=")]
		b = b[:len(b)-commaLen(b)]
	}
	if i = lastAngle(b, true); i >= 0 && ends(b[:i], " from=") {
		ev.set(Sender, b[i+1:len(b)-1])
		b = b[:i-len(" from=")]
	}
	if !ends(b, ";") {
		forget(ev)
	}
}

func commaLen(b []byte) int {
	if ends(b, ",") {
		return 1
	}
	return 0
}
