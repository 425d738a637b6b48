package maillog

import (
	"time"
)

// Bounds of what a Joiner remembers.
const (
	maxSessions  = 65536 // of smtpd; as many of postscreen
	maxQueueIDs  = 65536
	maxHosts     = 4096
	maxQueueAge  = 3600 // seconds a queue ID is good for: short ones are reused
	maxRepeat    = 1000
	maxLastBytes = 4096 // of the last message of a source
)

// SourceOptions say how to read the stamps of one source.
type SourceOptions struct {
	Location  *time.Location // zone of stamps that name none; nil: UTC
	Reference int64          // Unix seconds near the first stamp: file mtime, clock, --now
}

// A Joiner gives events what no single line tells: the full time, repeats,
// the session and the queue ID they belong to. Lines of one source must come
// in order. It is deterministic and bounded, and does not allocate in steady
// state.
type Joiner struct {
	sources  map[uint32]*sourceState
	sessions *table[Session]
	screens  *table[Session] // postscreen's
	messages *table[message]
	hosts    *table[bool] // by source and host: the latest disconnect had a summary
	serial   uint64
	lone     Session // of a disconnect that nothing was known of

	current *sourceState // that of the last line: mostly there is one
	noted   hostSummary  // what was put into hosts last
}

// A hostSummary says whether the disconnects of a host have a summary.
type hostSummary struct {
	host    key
	present bool
}

// A sourceState is the clock of a source, its last event, and the names that
// were hashed for it last: nearly all lines have the same.
type sourceState struct {
	id    uint32
	clock clockFace
	last  lastLine
	names [16]origin // by the length of the tag: those that a Parser reads by itself differ in it

	// What the last line began with, and its time: nearly all lines have the
	// host and the second of the line before.
	head  uint32 // of the line, see Event
	turn  uint64 // how often that was another
	stamp Stamp
	near  int64
	time  int64
	timed bool
}

// begin notes what ev begins with, unless it is what the line before did.
func (o *sourceState) begin(ev *Event, near int64) {
	if !o.timed || near != o.near || ev.Stamp != o.stamp {
		o.timed, o.near, o.stamp = true, near, ev.Stamp
		o.time = bounded(o.clock.unix(ev.Stamp, near))
	}
	o.head = ev.head
	o.turn++
}

// NewJoiner returns a Joiner that remembers nothing.
func NewJoiner() *Joiner {
	return &Joiner{
		sources:  make(map[uint32]*sourceState),
		sessions: newTable[Session](maxSessions),
		screens:  newTable[Session](maxSessions),
		messages: newTable[message](maxQueueIDs),
		hosts:    newTable[bool](maxHosts),
	}
}

// Source sets the options of a source. One that was never set is read as UTC.
func (j *Joiner) Source(src uint32, o SourceOptions) {
	s := j.source(src)
	s.clock = clockFace{location: o.Location, reference: o.Reference}
	s.head, s.timed = 0, false
}

func (j *Joiner) source(src uint32) *sourceState {
	if s := j.current; s != nil && s.id == src {
		return s
	}
	j.Keep()
	s := j.sources[src]
	if s == nil {
		s = &sourceState{id: src}
		j.sources[src] = s
	}
	j.current = s
	return s
}

// Evicted counts the sessions and queue IDs that were dropped for want of
// room.
func (j *Joiner) Evicted() uint64 {
	return j.sessions.evicted + j.screens.evicted + j.messages.evicted
}

// Join completes ev, which [Parse] filled, and returns its session, nil when
// it has none. The session is good until the next Join.
//
// seq is the number of the line in its source, counting every line, and mark
// the newest accepted time, 0 when there is none yet. A repeat becomes the
// event it repeats, or [KindNone] when it is not certain which that is; its
// texts are good until the next Join. ev and the line that it was parsed from
// must stay as they are until the next Join, or [Joiner.Keep].
func (j *Joiner) Join(src uint32, seq uint64, mark int64, ev *Event) *Session {
	s := j.current
	if s == nil || s.id != src {
		s = j.source(src)
	}
	near := mark
	if near == 0 {
		near = s.clock.reference
	}
	if ev.head == 0 || ev.head != s.head || near != s.near {
		s.begin(ev, near)
	}
	ev.Time = s.time
	ev.Count, ev.AuthFailed, ev.Messages, ev.Logins = 1, 0, 0, 0
	switch {
	case ev.Kind != KindRepeat:
		if ev.Repeat > 0 {
			ev.Count = min(ev.Repeat, maxRepeat)
		}
		s.last.set(seq, ev)
	case !s.repeat(seq, ev):
		return nil
	}
	if k := ev.Kind; k >= SMTPDConnect && k <= SMTPDTLSCert { // most lines
		return j.smtpd(s, ev)
	}
	return j.other(s, ev)
}

// Keep copies what is remembered of the last line. It and its event may then be
// overwritten.
func (j *Joiner) Keep() {
	if j.current != nil {
		j.current.last.keep()
	}
}

// other finds the session and the message of an event that is not of an smtpd,
// and fills in what they tell.
func (j *Joiner) other(o *sourceState, ev *Event) *Session {
	switch k := ev.Kind; {
	case k >= PostscreenConnect && k <= PostscreenDisconnect:
		return j.postscreen(o, ev)
	case k >= CleanupReject && k <= CleanupMilterHeader:
		j.cleanup(o, ev)
	case k == KindActive:
		j.active(o, ev)
	case k == DovecotLoginOK:
		j.good(ev, &ev.Logins, 1)
	}
	return nil
}

// good counts good evidence, which a repeat never is.
func (j *Joiner) good(ev *Event, field *uint32, n uint32) {
	if ev.Repeat == 0 {
		*field = n
	}
}

// smtpd does so for one of an smtpd.
func (j *Joiner) smtpd(o *sourceState, ev *Event) *Session {
	if ev.PID == 0 {
		return nil
	}
	from := &o.names[int(ev.texts[Tag].n)%len(o.names)] // o.origin(ev), in line
	if from.turn != o.turn {
		from.set(o, ev)
	}
	k := from.tagKey.mixUint(uint64(ev.PID))
	switch ev.Kind {
	case SMTPDConnect, SMTPDConnectUnknown:
		return j.session(j.sessions, k, ev, true)
	case SMTPDDisconnect:
		if n := (hostSummary{from.hostKey, ev.Commands.Present}); n != j.noted {
			j.noted = n
			*j.hosts.put(n.host) = n.present
		}
		s := j.last(k, ev)
		j.summary(s, ev)
		return s
	case SMTPDProxyReject, SMTPDNumericHostname:
		return nil // name no client, so there is nothing to score
	}
	s := j.session(j.sessions, k, ev, false)
	switch ev.Kind {
	case SMTPDPTRMismatch:
		if s.Failed == 0 && s.Marks == [4]uint64{} {
			s.Early = true
		}
	case SMTPDSASLFail, SMTPDSASLAborted, SMTPDLimitAuthRate: // one refused AUTH each
		s.Failed += ev.Count
	case SMTPDQueuedAuth:
		if !s.LoggedIn {
			j.good(ev, &ev.Logins, 1)
		}
		s.LoggedIn = true
		j.message(from.hostKey, k, s, ev)
	case SMTPDQueued:
		j.message(from.hostKey, k, s, ev)
	case SMTPDReject, SMTPDMilterReject:
		if ev.Stage == StageEndOfMessage {
			s.Rejected += ev.Count
		}
	case SMTPDDiscard, SMTPDMilterDiscard: // once a message: nothing is checked after it
		s.Rejected += ev.Count
	}
	return s
}

// last is [Joiner.session] for the last line of a session, which is removed.
func (j *Joiner) last(k key, ev *Event) *Session {
	slot, e := j.sessions.find(k)
	if e == 0 { // it would be put there, and removed
		j.serial++
		if j.sessions.len == j.sessions.max {
			j.sessions.evict()
		}
		j.lone = Session{Client: ev.Client, Serial: j.serial}
		return &j.lone
	}
	s := &j.sessions.entries[e].value
	if s.Client != ev.Client {
		j.serial++
		*s = Session{Client: ev.Client, Serial: j.serial}
	}
	j.sessions.removeAt(slot, e)
	return s
}

// session returns the session of k; it opens one when there is none, when a
// connect says so, or when the one there is another client's.
func (j *Joiner) session(t *table[Session], k key, ev *Event, fresh bool) *Session {
	slot, e := t.find(k)
	var s *Session
	if e == 0 {
		s = t.add(k, slot)
	} else {
		s = &t.entries[e].value
		if s.Client == ev.Client && (!fresh || s.Early) {
			s.Early = s.Early && !fresh
			return s
		}
		t.renew(e)
	}
	j.serial++
	*s = Session{Client: ev.Client, Serial: j.serial}
	return s
}

// summary reads the counts of a disconnect.
func (j *Joiner) summary(s *Session, ev *Event) {
	c := &ev.Commands
	if failed := uint32(c.Auth.Total - min(c.Auth.OK, c.Auth.Total)); failed > s.Failed {
		ev.AuthFailed = failed - s.Failed
	}
	if c.Auth.OK > 0 && !s.LoggedIn {
		j.good(ev, &ev.Logins, 1)
	}
	// A mixed result such as data=1/2 is not counted: which half was which
	// cannot be told. One message may take several BDAT, but never more than
	// one MAIL.
	n := uint32(0)
	if c.Data.OK == c.Data.Total {
		n += uint32(c.Data.OK)
	}
	if c.Bdat.OK == c.Bdat.Total {
		n += uint32(c.Bdat.OK)
	}
	if c.Mail.Total > 0 {
		n = min(n, uint32(c.Mail.OK))
	}
	j.good(ev, &ev.Messages, n-min(n, s.Rejected))
}

func (j *Joiner) postscreen(o *sourceState, ev *Event) *Session {
	if !ev.Client.IsValid() || ev.Port == 0 {
		return nil
	}
	a := ev.Client.As16()
	k := o.origin(ev).hostKey.mix(a[:]).mixUint(uint64(ev.Port))
	s := j.session(j.screens, k, ev, ev.Kind == PostscreenConnect)
	switch ev.Kind {
	case PostscreenDisconnect, PostscreenPassOld, PostscreenAllowlisted:
		j.screens.remove(k) // after the latter two an smtpd has the client
	}
	return s
}

// message remembers whose a queue ID is.
func (j *Joiner) message(host, session key, s *Session, ev *Event) {
	id := ev.Text(QueueID)
	if id == nil || !ev.Client.IsValid() {
		return
	}
	host = host.mix(id)
	slot, e := j.messages.find(host)
	var m *message
	if e == 0 {
		m = j.messages.add(host, slot)
	} else {
		j.messages.renew(e)
		m = &j.messages.entries[e].value
	}
	*m = message{Client: ev.Client, Time: ev.Time, Session: session, Serial: s.Serial}
}

// byQueueID finds the message of ev.
func (j *Joiner) byQueueID(k key, ev *Event) *message {
	k = k.mix(ev.Text(QueueID))
	m := j.messages.get(k)
	if m == nil {
		return nil
	}
	if !m.fresh(ev.Time) {
		j.messages.remove(k)
		return nil
	}
	return m
}

// cleanup gives a line of cleanup the client of its queue ID, and tells the
// session of a message that was refused or dropped after all.
func (j *Joiner) cleanup(o *sourceState, ev *Event) {
	m := j.byQueueID(o.origin(ev).hostKey, ev)
	if m == nil {
		return
	}
	if !ev.Client.IsValid() {
		ev.Client = m.Client
	}
	switch ev.Kind {
	case CleanupMilterReject, CleanupMilterDiscard, CleanupReject, CleanupDiscard:
	default:
		return
	}
	if m.Refused {
		return
	}
	m.Refused = true
	if s := j.sessions.get(m.Session); s != nil && s.Serial == m.Serial {
		s.Rejected++
	}
}

// active counts the first activation of a message whose client is known as
// accepted, on hosts whose disconnects carry no summary (Postfix before 3.0).
// From then on nobody asks for the queue ID again: in the order in which Postfix
// logs, cleanup is done with it, and later activations are retries.
func (j *Joiner) active(o *sourceState, ev *Event) {
	k := o.origin(ev).hostKey
	summaries := j.hosts.get(k)
	k = k.mix(ev.Text(QueueID))
	slot, e := j.messages.find(k)
	if e == 0 {
		return
	}
	m := &j.messages.entries[e].value
	if summaries != nil && !*summaries && !m.Refused && m.fresh(ev.Time) {
		ev.Client = m.Client
		j.good(ev, &ev.Messages, 1)
	}
	j.messages.removeAt(slot, e)
}
