package maillog

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"

	"github.com/postmoat/postmoat/pkg/vector"
)

// A Parser is [Parse] for the lines of one log, one after the other. It knows
// again what stood in the lines before: the second and the host, and the
// client of an smtpd process. It answers as Parse does, and remembers nothing
// that could change an answer. The zero value is ready to use.
type Parser struct {
	// The last line's stamp of RFC 3164 and its host, with the blanks behind
	// them.
	text  [maxHead]byte
	n     int // length of text; 0: none
	stamp Stamp
	head  uint32 // see Event

	words [4]uint64 // of text, or more
	mask  [2]uint64 // of what belongs to it of the last two of them

	of   [1024]knownPeer  // by pid: the latest
	slow [256]knownPeer   // by hash: those that take long to read, as IPv6 addresses do
	ends [64]knownSummary // by hash

	refusals [4]knownRefusal // by hash of the codes

	foreign [16]shortTag // by hash: of programs without a grammar
}

// A shortTag is a tag of up to 15 bytes and the bracket or colon behind it, zeros
// behind that; the zero shortTag is none.
type shortTag [2]uint64

// tagOf is the short tag that t begins with.
func tagOf(t *[minRest]byte) (s shortTag) {
	for i := range s {
		w := load(t[:], 8*i)
		stop := equal(w, '[') | equal(w, ':')
		if equal(w, ' ')&(stop-1)&^stop != 0 {
			break // a blank comes first
		}
		if s[i] = w; stop != 0 {
			s[i] &= (stop&-stop)<<1 - 1
			return s
		}
	}
	return shortTag{}
}

// other is Parse for a line behind whose head stands t: of a daemon that is not
// known here, or of another program.
func (p *Parser) other(line []byte, t *[minRest]byte, ev *Event) bool {
	tag := tagOf(t)
	known := &p.foreign[(tag[0]^tag[1])*0x9e3779b97f4a7c15>>60]
	if *known == tag && tag != (shortTag{}) {
		ev.Kind = KindNone
		return false
	}
	if Parse(line, ev) {
		return true
	}
	// What classify says of such a tag depends on nothing else.
	if s := ev.texts[Tag]; ev.Kind == KindNone && int(s.at) == p.n && s.n != 0 {
		if name := ev.Text(Tag); programOf(name) == noProgram && string(name) != "syslogd" {
			*known = tag
		}
	}
	return false
}

// A knownSummary is the summary of a disconnect and what it means.
type knownSummary struct {
	text     [64]byte
	n        uint8 // length of text; 0: none
	commands Commands
}

// summary is [summary] for one that may be known.
func (p *Parser) summary(b []byte, ev *Event) Kind {
	n := len(b)
	if p == nil || n < 8 || n > len(p.ends[0].text) {
		return summary(b, ev)
	}
	k := &p.ends[(load(b, n-8)+load(b, n/2-4))*0x9e3779b97f4a7c15>>58]
	if n == int(k.n) && vector.Begins(b, 0, &k.text, n) {
		ev.Commands = k.commands
		return SMTPDDisconnect
	}
	kind := summary(b, ev)
	if kind == SMTPDDisconnect {
		k.n, k.commands = uint8(n), ev.Commands
		copy(k.text[:], b)
	}
	return kind
}

// maxHead is how long a head may be to be remembered.
const maxHead = 64

// A knownPeer is NAME "[" ADDR "]" and what it means.
type knownPeer struct {
	client netip.Addr
	n      uint8 // length of text; 0: none
	name   uint8 // length of NAME
	text   [64]byte
}

// Parse reads one line into ev, which it resets. When it returns false only
// ev.Kind is good.
//
// Were it made part of its caller, begin would no longer be made part of it.
//
//go:noinline
func (p *Parser) Parse(line []byte, ev *Event) bool {
	b := line
	if len(b) < minLine || len(b) < p.n+minRest || len(b) > maxText || b[len(b)-1] <= '\r' || p.n == 0 ||
		load(b, 0) != p.words[0] || load(b, 8) != p.words[1] || load(b, 16)&p.mask[0] != p.words[2] || load(b, 24)&p.mask[1] != p.words[3] ||
		p.n > 32 && string(b[32:p.n]) != string(p.text[32:p.n]) {
		if b = p.otherHead(line); b == nil {
			return Parse(line, ev)
		}
	}
	n := p.n
	t := (*[minRest]byte)(b[n:]) // from the tag on
	if load(t[:], 0) != wPostfix {
		if load(t[:], 0) != wDovecot || t[8] != ' ' || t[9] == '[' {
			return p.other(line, t, ev)
		}
		switch w := load(t[:], len("dovecot: ")); {
		case w == wIMAPLog, w == wPOP3Log, w == wSubmissi, w&low4 == wAuth, w&0xff == 'm':
		default: // of a process of which nothing is read
			ev.Kind = KindNone
			return false
		}
		p.begin(b, len("dovecot"), n+len("dovecot: "), ev)
		return classify(ev, dovecotProgram)
	}
	l := &ofSmtpd
	switch w := load(t[:], 8); {
	case w&low6 == wSmtpd:
	case w&low5 == wSMTP, w&low5 == wLMTP:
		ev.Kind = KindNone
		return false
	case w == wCleanup:
		l = &ofCleanup
	case w&low5 == wQmgr:
		if w := load(b, len(b)-8); w != wActive && w != wActiveEnd { // the latter repeated
			ev.Kind = KindNone
			return false
		}
		l = &ofQmgr
	case w == wSubmissi && string(t[16:25]) == "on/smtpd[":
		l = &ofSubmission
	case w == wPostscre && string(t[16:19]) == "en[":
		l = &ofPostscreen
	default:
		return p.other(line, t, ev)
	}
	i := l.tag + 1 // where the pid begins in t
	d := load(t[:], i&31) ^ '0'*each
	digits := first(noDigit(d))
	behind := binary.LittleEndian.Uint32(t[i&31+digits&7:])
	if uint(digits-1) > 6 || behind&0xffffff != ']'|':'<<8|' '<<16 || behind>>24 == '[' {
		return Parse(line, ev)
	}
	i += n + digits + len("]: ")
	m := b[i:]
	if l.program == cleanupProgram && messageID(m) {
		ev.Kind = KindNone
		return false
	}
	p.begin(b, l.tag, i, ev)
	ev.PID = decimal(d, digits)
	if l.program == smtpdProgram && m[0] != 'm' {
		ev.texts[Service], ev.door = span{uint16(n) + l.service.at, l.service.n}, l.door
		ev.Kind = smtpd(m, ev, p)
		if ev.Kind <= KindUnknown {
			ev.failed()
			return false
		}
		return true
	}
	return classify(ev, l.program)
}

// A lane is a daemon whose lines are read here.
type lane struct {
	program program
	tag     int   // its length
	door    uint8 // 1 more than the Door
	service span  // of its lines, in the tag, unless the message names another
}

// The lanes.
var (
	ofSmtpd      = lane{smtpdProgram, len("postfix/smtpd"), 1 + uint8(SMTP), span{uint16(len("postfix/")), uint16(len("smtp") + 1)}}
	ofSubmission = lane{smtpdProgram, len("postfix/submission/smtpd"), 1 + uint8(Login), span{uint16(len("postfix/")), uint16(len("submission") + 1)}}
	ofPostscreen = lane{program: postscreenProgram, tag: len("postfix/postscreen")}
	ofCleanup    = lane{program: cleanupProgram, tag: len("postfix/cleanup")}
	ofQmgr       = lane{program: qmgrProgram, tag: len("postfix/qmgr")}
)

// begin resets ev for a line that begins with the head, with a tag of that
// length behind it, and whose message begins at b[at].
func (p *Parser) begin(b []byte, tag, at int, ev *Event) {
	// In parts: the compiler makes a loop of all at once.
	ev.Client = netip.Addr{}
	ev.Kind, ev.Stage, ev.Reason, ev.door, ev.Port, ev.Code, ev.PID, ev.Repeat = 0, 0, 0, 0, 0, 0, 0, 0
	ev.Count, ev.AuthFailed, ev.Messages, ev.Logins, ev.Time = 0, 0, 0, 0, 0
	ev.texts = [numTexts]span{}
	ev.Commands, ev.escaped = Commands{}, false
	ev.line = b
	ev.head = p.head
	ev.Stamp = p.stamp
	ev.texts[Host] = span{uint16(hostAt), uint16(p.n - hostAt)} // 1 blank
	ev.texts[Tag] = span{uint16(p.n), uint16(tag + 1)}
	ev.texts[Message] = span{uint16(at), uint16(len(b) - at + 1)}
}

// hostAt is where the host stands in a line.
const hostAt = len("Nov  5 08:46:49 ")

// minRest is more than a tag and its pid need, behind the head, and minLine how
// long a line is at least that has all that.
const (
	minRest = 44
	minLine = minRest + hostAt + 2
)

// otherHead makes the head of a line the one to be known, and returns the line
// without its end, or nil when it is not for Parser to read.
func (p *Parser) otherHead(line []byte) []byte {
	b := trimEnd(line)
	if p.n == 0 || len(b) < p.n+minRest || string(b[:p.n]) != string(p.text[:p.n]) {
		if p.learn(b); p.n == 0 || len(b) < p.n+minRest {
			return nil
		}
	}
	return b
}

// heads is how many heads all Parsers have known, modulo 2^32: a line is compared with
// no other than the one before it.
var heads atomic.Uint32

// learn makes what b begins with the head, of length 0 when it is not one to be
// remembered.
func (p *Parser) learn(b []byte) {
	p.n = 0
	if len(b) < minLine || b[15] != ' ' || stamp3164(b, &p.stamp) == 0 {
		return
	}
	i := hostAt
	if i >= len(b) || b[i] == '<' {
		return
	}
	for i < min(len(b), maxHead-1) && b[i] != ' ' {
		i++
	}
	if i == hostAt || i == min(len(b), maxHead-1) || b[i-1] == ':' {
		return
	}
	p.n = i + 1
	p.head = heads.Add(1)
	copy(p.text[:], b[:p.n])
	p.mask[0] = ^uint64(0) >> (8 * max(24-p.n, 0))
	p.mask[1] = ^uint64(0) >> (8 * min(max(32-p.n, 0), 8))
	p.words = [4]uint64{load(b, 0), load(b, 8), load(b, 16) & p.mask[0], load(b, 24) & p.mask[1]}
}

// peer is [peer] for a client whose process may be known.
func (p *Parser) peer(m []byte, i int, ev *Event) int {
	if p == nil {
		return peer(m, i, ev)
	}
	k := &p.of[ev.PID%uint32(len(p.of))]
	if n := int(k.n); n != 0 && n <= len(m)-i && vector.Begins(m, i, &k.text, n) {
		ev.name(m, i, k)
		return i + n
	}
	n := peer(m, i, ev)
	if n-i >= 8 {
		k.keep(m[i:n], ev)
	}
	return n
}

// onlyPeer is peer for what is a client up to the end of m, as in a connect.
func (p *Parser) onlyPeer(m []byte, i int, ev *Event) int {
	n := quickPeer(m, i, ev)
	if n < 0 {
		n = p.slowPeer(m, i, ev)
	}
	if p != nil && n == len(m) && n-i >= 8 {
		p.of[ev.PID%uint32(len(p.of))].keep(m[i:], ev)
	}
	return n
}

// slowPeer is [slowPeer] for what is a client up to the end of m, and may be known.
func (p *Parser) slowPeer(m []byte, i int, ev *Event) int {
	size := len(m) - i
	if p == nil || size < 16 || size > len(p.slow[0].text) {
		return slowPeer(m, i, ev)
	}
	k := &p.slow[(load(m, len(m)-16)+load(m, len(m)-9))*0x9e3779b97f4a7c15>>56]
	if size == int(k.n) && vector.Begins(m, i, &k.text, size) {
		ev.name(m, i, k)
		return len(m)
	}
	n := slowPeer(m, i, ev)
	if n == len(m) {
		k.keep(m[i:], ev)
	}
	return n
}

// name sets the client that stands at m[i:].
func (e *Event) name(m []byte, i int, k *knownPeer) {
	e.texts[ClientName], e.Client = span{uint16(cap(e.line) - cap(m) + i), uint16(k.name) + 1}, k.client
}

// keep remembers the client of ev, which was read from text, at least 8 bytes, if
// there is room for it.
func (k *knownPeer) keep(text []byte, ev *Event) {
	if len(text) > len(k.text) {
		return
	}
	k.client, k.n, k.name = ev.Client, uint8(len(text)), uint8(ev.texts[ClientName].n-1)
	if cap(text) >= len(k.text) { // a copy whose length is known: what is behind it does no harm
		k.text = [64]byte(text[:cap(text)])
	} else {
		copy(k.text[:], text)
	}
}

// messageID says whether m is cleanup's "QID: message-id=...", or what none of
// its forms begins like.
func messageID(m []byte) bool {
	if len(m) < 32 {
		return false
	}
	i := first(equal(load(m, 0), ':'))
	if i == 8 {
		i += first(equal(load(m, 8), ':'))
	}
	return i < 16 && load(m, i) == wMessag && load(m, i+5) == wageID
}

const (
	wDovecot   = 'd' | 'o'<<8 | 'v'<<16 | 'e'<<24 | 'c'<<32 | 'o'<<40 | 't'<<48 | ':'<<56
	wIMAPLog   = 'i' | 'm'<<8 | 'a'<<16 | 'p'<<24 | '-'<<32 | 'l'<<40 | 'o'<<48 | 'g'<<56
	wPOP3Log   = 'p' | 'o'<<8 | 'p'<<16 | '3'<<24 | '-'<<32 | 'l'<<40 | 'o'<<48 | 'g'<<56
	wAuth      = 'a' | 'u'<<8 | 't'<<16 | 'h'<<24
	wActive    = ' ' | 'a'<<8 | 'c'<<16 | 't'<<24 | 'i'<<32 | 'v'<<40 | 'e'<<48 | ')'<<56
	wActiveEnd = wActive>>8 | ']'<<56
	wMessag    = ':' | ' '<<8 | 'm'<<16 | 'e'<<24 | 's'<<32 | 's'<<40 | 'a'<<48 | 'g'<<56
	wageID     = 's' | 'a'<<8 | 'g'<<16 | 'e'<<24 | '-'<<32 | 'i'<<40 | 'd'<<48 | '='<<56
)
