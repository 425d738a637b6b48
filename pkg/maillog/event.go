// Package maillog turns lines of a maillog into typed events.
//
// The grammar is matched by position, anchored at the first byte of the
// message, so that no text a client wrote (HELO, sender, SASL user, PTR name,
// pipelined data) can move the address that is blamed. When in doubt there is
// no event.
//
// The package is pure: no clock, no I/O, no goroutine.
package maillog

import "net/netip"

// An Event is what one line says about one client.
//
// Its texts, see [Event.Text], lie in the line handed to [Parse] (in memory of
// their own for a json-file line with escapes): it is good only as long as the
// line is.
type Event struct {
	// Client is the SMTP, IMAP or POP peer, IPv4-mapped addresses unmapped.
	// It is the zero Addr when no address may be taken from the line.
	Client netip.Addr

	Kind   Kind
	Stage  Stage  // SMTP command the line names, NoStage when it names none
	Reason Reason // classified text of a reject or an authentication failure
	door   uint8  // 1 more than the Door; 0: to be found out
	Port   uint16 // of the client; 0 when not logged
	Code   uint16 // SMTP reply code, 0 when absent
	PID    uint32 // 0 when the line has none

	// Repeat is how many more copies of the previous line of the same host
	// this line stands for (KindRepeat), or how many copies of its own text
	// ("message repeated N times: [ ...]"); 0 for a plain line.
	Repeat uint32

	// Filled in by the Joiner.
	Count      uint32 // copies of the event this line stands for, at least 1
	AuthFailed uint32 // failed AUTH commands of a disconnect that had no line of their own
	Messages   uint32 // good evidence: accepted messages
	Logins     uint32 // good evidence: authenticated logins
	Time       int64  // Unix seconds, UTC; from 1 to 1<<32-1

	texts [numTexts]span
	head  uint32 // lines of one head, one after the other, have the same Stamp and Host; 0: not known
	line  []byte // that the texts lie in
	Stamp Stamp  // the line's own time, as written

	Commands Commands // the summary of a disconnect (Postfix 3.0+)
	escaped  bool     // Message still holds JSON escapes
}

// A Text names one of the texts of an [Event]. Those behind ClientName are
// chosen by the client, and are only good for matching, counting and display.
type Text uint8

// The texts.
const (
	Host       Text = iota // nil when the line names no host
	Tag                    // program without pid: "postfix/submission/smtpd"
	Message                // the text after "tag[pid]: "
	Service                // master.cf service or login service: "smtp", "submission", "imap"; nil when not known
	QueueID                // nil for NOQUEUE
	DSN                    // enhanced status code "4.1.1" (RFC 3463), nil when absent
	ClientName             // verified host name, "unknown", or nil
	Helo
	Sender // not nil and empty: the null sender <>
	Recipient
	Proto
	SASLMethod
	SASLUser
	numTexts
)

// A span is where a text lies in a line: its offset, and 1 more than its
// length; the zero span is no text.
type span struct{ at, n uint16 }

// maxText is how much of a line is read: spans reach no further. What is
// longer is taken for cut there, as syslog daemons cut lines.
const maxText = 1<<16 - 2

// Text is a text of e, nil when it has none. It must not be written to.
func (e *Event) Text(t Text) []byte {
	s := e.texts[t]
	if s.n == 0 {
		return e.unwritten(t)
	}
	return e.line[s.at : int(s.at)+int(s.n)-1]
}

// unwritten is a text that does not stand in the line: postscreen listens at
// port 25, whatever its tag.
func (e *Event) unwritten(t Text) []byte {
	if t == Service && e.Kind >= PostscreenConnect && e.Kind <= PostscreenDisconnect {
		return smtpService
	}
	return nil
}

var smtpService = []byte("smtp")

// SetText sets a text of e, of up to 65,534 bytes. It is copied unless it is a
// part of the line.
func (e *Event) SetText(t Text, b []byte) {
	if b == nil {
		e.texts[t] = span{}
		return
	}
	if e.line == nil {
		e.line = []byte{} // no part of nil is an empty text
	}
	at := cap(e.line) - cap(b) // slices of one array end their capacity at the same byte
	if at < 0 || at > len(e.line)-len(b) || len(b) > 0 && &e.line[at] != &b[0] {
		at = len(e.line)
		e.line = append(e.line[:at:at], b[:min(len(b), maxText-at)]...)
		b = e.line[at:]
	}
	e.set(t, b)
}

// set is SetText for a part of the line that is not nil, and whose capacity
// ends where that of the line does.
func (e *Event) set(t Text, part []byte) {
	e.texts[t] = span{uint16(cap(e.line) - cap(part)), uint16(len(part) + 1)}
}

// Door says at which group of ports the service that wrote the line listens.
func (e *Event) Door() Door {
	if e.door != 0 {
		return Door(e.door - 1)
	}
	return doorOf(e)
}

// A Door is a group of ports with its own scores, cover and bans.
type Door uint8

// The doors.
const (
	SMTP  Door = iota // port 25: smtpd and postscreen
	Login             // submission, smtps, IMAP, POP, ManageSieve
	NumDoors
)

func (d Door) String() string {
	switch d {
	case SMTP:
		return "smtp"
	case Login:
		return "login"
	}
	return "door?"
}

// ParseDoor is the inverse of String.
func ParseDoor(s string) (Door, bool) {
	switch s {
	case "smtp":
		return SMTP, true
	case "login":
		return Login, true
	}
	return 0, false
}

// Recipients is how many recipients the accepted messages of e had, at least
// one each: a message is no less welcome for one stale address among its fifty.
// They are taken for those of the session when each of its MAILs became such a
// message.
func (e *Event) Recipients() uint32 {
	if e.Messages == uint32(e.Commands.Mail.OK) {
		return max(e.Messages, uint32(e.Commands.Rcpt.OK))
	}
	return e.Messages
}

// Commands is the command summary of a disconnect, or of a queue activation
// what can be told of it: how many were accepted and how many were tried. All
// counts saturate at 65535. Present says that the line had a summary at all (Postfix
// 3.0+ always writes one).
type Commands struct {
	Present bool
	Auth    Tally
	Mail    Tally
	Rcpt    Tally
	Data    Tally
	Bdat    Tally
	Unknown Tally
	All     Tally // commands=
}

// A Tally is "ok/total"; "cmd=N" is Tally{N, N}.
type Tally struct{ OK, Total uint16 }

// A Stamp is a time as a log line wrote it. It is comparable: equal stamps of
// one source mean equal times (but for the year).
type Stamp struct {
	Year   int16 // 0: the line has no year
	Month  uint8 // 1-12
	Day    uint8 // 1-31
	Second int32 // second of the day, 0-86400
	Nano   int32
	Offset int32 // seconds east of UTC; NoOffset: the source's local time
}

// NoOffset is the Offset of a stamp that names no zone.
const NoOffset int32 = 1 << 30
