package maillog

import (
	"bytes"
	"encoding/binary"
	"net/netip"
)

// A Parser is [Parse] for the lines of one log, one after the other. It knows
// again what stood in the lines before: the second and the host, and the
// client of an smtpd process. It answers as Parse does, and remembers nothing
// that could change an answer. The zero value is ready to use.
type Parser struct {
	// The last line's stamp of RFC 3164 and its host, with the blanks behind
	// them.
	text [maxHead]byte
	n    int // length of text; 0: none
	head head

	peers [2048]knownPeer  // by hash of the text
	of    [4096]uint16     // by pid: the index of its client in peers
	ends  [64]knownSummary // by hash
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
	if string(b) == string(k.text[:k.n]) {
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
	text   [70]byte
}

// Parse reads one line into ev, which must be zero, or have been filled by a
// Parser, [Split] or a [Joiner]; texts may have been added to what Split
// filled. When it returns false only ev.Kind is good.
func (p *Parser) Parse(line []byte, ev *Event) bool {
	b := trimEnd(line)
	n := p.n
	if n == 0 || len(b) < n+minRest || !p.known(b) {
		if n = p.learn(b); n == 0 || len(b) < n+minRest {
			return p.any(line, ev)
		}
	}
	// b[n:] holds at least minRest bytes, from the tag on.
	if load(b, n) != wPostfix {
		if load(b, n) != wDovecot || b[n+8] != ' ' || b[n+9] == '[' {
			return p.any(line, ev)
		}
		ev.begin(&p.head, ofDovecot)
		ev.Tag, ev.Message, ev.dirty = lanes[ofDovecot].tag, b[n+len("dovecot: "):], true
		return classify(ev, dovecotProgram)
	}
	lane := ofSmtpd
	switch w := load(b, n+8); {
	case w&low6 == wSmtpd:
	case w&low5 == wSMTP, w&low5 == wLMTP:
		ev.Kind = KindNone
		return false
	case w == wCleanup:
		lane = ofCleanup
	case w&low5 == wQmgr:
		if !ends(b, " (queue active)") {
			ev.Kind = KindNone
			return false
		}
		lane = ofQmgr
	case w == wSubmissi && has(b[n+16:], "on/smtpd["):
		lane = ofSubmission
	case w == wPostscre && has(b[n+16:], "en["):
		lane = ofPostscreen
	default:
		return p.any(line, ev)
	}
	l := &lanes[lane]
	b = b[n+len(l.tag)+1:] // from the pid on
	if len(b) < 12 {
		return p.any(line, ev)
	}
	d := load(b, 0) ^ '0'*each
	i := first(noDigit(d))
	behind := binary.LittleEndian.Uint32(b[i&7:])
	if uint(i-1) > 6 || behind&0xffffff != ']'|':'<<8|' '<<16 || behind>>24 == '[' {
		return p.any(line, ev)
	}
	m := b[i+3:]
	if lane == ofCleanup && messageID(m) {
		ev.Kind = KindNone
		return false
	}
	ev.begin(&p.head, lane)
	ev.PID, ev.Tag, ev.Message = decimal(d, i), l.tag, m
	if l.program == smtpdProgram && m[0] != 'm' {
		ev.Service, ev.door = l.service, l.door
		return p.smtpd(m, ev)
	}
	ev.dirty = true
	return classify(ev, l.program)
}

// A lane is a daemon whose lines are read here.
type lane struct {
	tag     []byte
	program program
	door    uint8  // 1 more than the Door
	service []byte // of all its lines, unless the message names another
}

// The lanes; 0 is none.
const (
	ofSmtpd uint8 = 1 + iota
	ofSubmission
	ofPostscreen
	ofCleanup
	ofQmgr
	ofDovecot
	numLanes
)

var lanes = [numLanes]lane{
	ofSmtpd:      {[]byte("postfix/smtpd"), smtpdProgram, 1 + uint8(SMTP), smtpService},
	ofSubmission: {[]byte("postfix/submission/smtpd"), smtpdProgram, 1 + uint8(Login), submissionService},
	ofPostscreen: {tag: []byte("postfix/postscreen"), program: postscreenProgram, service: smtpService},
	ofCleanup:    {tag: []byte("postfix/cleanup"), program: cleanupProgram},
	ofQmgr:       {tag: []byte("postfix/qmgr"), program: qmgrProgram},
	ofDovecot:    {tag: []byte("dovecot"), program: dovecotProgram},
}

// begin clears e for a line that begins with h, and is of that lane.
func (e *Event) begin(h *head, lane uint8) {
	if e.dirty {
		*e = Event{}
	} else {
		// Stamp and Host are set below, Tag and Message next.
		e.Kind, e.Stage, e.Reason, e.door, e.Port, e.Code = 0, 0, 0, 0, 0, 0
		e.PID, e.Repeat, e.Count, e.AuthFailed, e.Messages, e.Logins, e.Time = 0, 0, 0, 0, 0, 0, 0
		e.Client, e.ClientName, e.Service = netip.Addr{}, nil, nil
		e.Commands, e.escaped = Commands{}, false
	}
	e.lane = lane
	if e.by != h.by || e.head != h.no {
		e.by, e.head = h.by, h.no
		e.Stamp, e.Host = h.stamp, h.host
	}
}

// hostAt is where the host stands in a line.
const hostAt = len("Nov  5 08:46:49 ")

// minRest is what a tag and its pid need at most, behind the head.
const minRest = 34

// any is Parse for a line of any form.
func (p *Parser) any(line []byte, ev *Event) bool {
	ok := Parse(line, ev)
	ev.dirty = true
	return ok
}

// known says whether b begins with the head.
func (p *Parser) known(b []byte) bool {
	h, n := &p.text, p.n
	if load(b, 0) != load(h[:], 0) || load(b, 8) != load(h[:], 8) {
		return false
	}
	for i := 16; i < n-8; i += 8 {
		if load(b, i) != load(h[:], i) {
			return false
		}
	}
	return load(b, n-8) == load(h[:], n-8)
}

// learn makes what b begins with the head, and returns its length, 0 when it
// is not one to be remembered.
func (p *Parser) learn(b []byte) int {
	p.n = 0
	if len(b) < 17 || b[15] != ' ' || stamp3164(b, &p.head.stamp) == 0 {
		return 0
	}
	i := hostAt
	if i >= len(b) || b[i] == '<' {
		return 0
	}
	for i < min(len(b), maxHead-1) && b[i] != ' ' {
		i++
	}
	if i == hostAt || i == min(len(b), maxHead-1) || b[i-1] == ':' {
		return 0
	}
	p.n = i + 1
	p.head.by = p
	p.head.no++
	copy(p.text[:], b[:p.n])
	if !bytes.Equal(p.head.host, b[hostAt:i]) {
		p.head.host = bytes.Clone(b[hostAt:i])
	}
	return p.n
}

// smtpd reads a message of an smtpd.
func (p *Parser) smtpd(m []byte, ev *Event) bool {
	k := smtpd(m, ev, p)
	ev.Kind = k
	switch k {
	case SMTPDConnect, SMTPDDisconnect, SMTPDTLSEstablished:
		return true
	}
	ev.dirty = true
	if k <= KindUnknown {
		ev.failed()
		return false
	}
	return true
}

// peer is [peer] for a client whose process may be known.
func (p *Parser) peer(m []byte, i int, ev *Event) int {
	if p == nil {
		return peer(m, i, ev)
	}
	k := &p.peers[p.of[ev.PID%uint32(len(p.of))]%uint16(len(p.peers))]
	if n := int(k.n); n != 0 && n <= len(m)-i && string(m[i:i+n]) == string(k.text[:n]) {
		ev.ClientName, ev.Client = m[i:i+int(k.name)], k.client
		return i + n
	}
	n := peer(m, i, ev)
	if n-i >= 8 {
		p.keep(m[i:n], ev)
	}
	return n
}

// onlyPeer is peer for what is a client up to the end of m, as in a connect.
func (p *Parser) onlyPeer(m []byte, i int, ev *Event) int {
	if p == nil || len(m)-i < 8 {
		return peer(m, i, ev)
	}
	at := peerAt(m[i:])
	k := &p.peers[at]
	if string(m[i:]) == string(k.text[:k.n]) {
		ev.ClientName, ev.Client = m[i:i+int(k.name)], k.client
		p.of[ev.PID%uint32(len(p.of))] = at
		return len(m)
	}
	n := peer(m, i, ev)
	if n == len(m) {
		p.keep(m[i:], ev)
	}
	return n
}

// keep remembers the client of ev, which was read from text, at least 8 bytes.
func (p *Parser) keep(text []byte, ev *Event) {
	if len(text) > len(p.peers[0].text) {
		return
	}
	at := peerAt(text)
	k := &p.peers[at]
	k.client, k.n, k.name = ev.Client, uint8(len(text)), uint8(len(ev.ClientName))
	copy(k.text[:], text)
	p.of[ev.PID%uint32(len(p.of))] = at
}

// peerAt is where the client with that text stands in peers.
func peerAt(text []byte) uint16 {
	n := len(text)
	return uint16((load(text, 0)*0x9e3779b97f4a7c15 ^ load(text, n-8)) * 0xd6e8feb86659fd93 >> 53)
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
	wDovecot = 'd' | 'o'<<8 | 'v'<<16 | 'e'<<24 | 'c'<<32 | 'o'<<40 | 't'<<48 | ':'<<56
	wMessag  = ':' | ' '<<8 | 'm'<<16 | 'e'<<24 | 's'<<32 | 's'<<40 | 'a'<<48 | 'g'<<56
	wageID   = 's' | 'a'<<8 | 'g'<<16 | 'e'<<24 | '-'<<32 | 'i'<<40 | 'd'<<48 | '='<<56
)
