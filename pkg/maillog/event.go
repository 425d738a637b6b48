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
// All []byte fields are sub-slices of the line handed to [Parse] (of a
// constant for some Services and Tags, of memory of their own for the Host of a
// [Parser] and for a json-file line with escapes): they are valid only as long
// as the line is, and must not be written to. Text fields
// other than Host, Tag, QueueID and ClientName are chosen by the client and
// are only good for matching, counting and display.
type Event struct {
	// What a [Parser] clears for each line stands in front.

	Stamp Stamp  // the line's own time, as written
	PID   uint32 // 0 when the line has none

	Kind   Kind
	Stage  Stage  // SMTP command the line names, NoStage when it names none
	Reason Reason // classified text of a reject or an authentication failure
	door   uint8  // 1 more than the Door; 0: to be found out
	Port   uint16 // of the client; 0 when not logged
	Code   uint16 // SMTP reply code, 0 when absent

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

	// Client is the SMTP, IMAP or POP peer, IPv4-mapped addresses unmapped.
	// It is the zero Addr when no address may be taken from the line.
	Client     netip.Addr
	ClientName []byte // verified host name, "unknown", or nil

	Host    []byte // nil when the line names no host
	Tag     []byte // program without pid: "postfix/submission/smtpd"
	Message []byte // the text after "tag[pid]: "
	Service []byte // master.cf service or login service: "smtp", "submission", "imap"; nil when not known

	Commands Commands // the summary of a disconnect (Postfix 3.0+)

	// by read the line, and head says which of its heads it begins with: lines
	// of one by and head have the same Stamp and Host. by is nil for others.
	by   *Parser
	head uint32
	lane uint8 // see lanes; 0 for a line that a Parser did not read by itself

	// What follows and more was set, and has to be cleared.
	dirty   bool
	escaped bool // Message still holds JSON escapes

	QueueID    []byte // nil for NOQUEUE
	DSN        []byte // enhanced status code "4.1.1" (RFC 3463), nil when absent
	Helo       []byte
	Sender     []byte // non-nil and empty: the null sender <>
	Recipient  []byte
	Proto      []byte
	SASLMethod []byte
	SASLUser   []byte
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

// Commands is the command summary of a disconnect: how many were accepted and
// how many were tried. All counts saturate at 65535. Present says that the
// line had a summary at all (Postfix 3.0+ always writes one).
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
