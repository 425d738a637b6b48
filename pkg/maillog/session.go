package maillog

import "net/netip"

// A Session is what is remembered of one SMTP session: from connect to
// disconnect of one smtpd process, or of one address and port at postscreen.
type Session struct {
	// Marks belongs to the reader of events: which rules that count once a
	// session have counted in this one.
	Marks [4]uint64

	Client   netip.Addr
	Serial   uint64 // number of the session, for the queue IDs that belong to it
	Failed   uint32 // authentication failures that had a line
	Rejected uint32 // messages known to be refused after their end, or dropped
	LoggedIn bool   // a queued_auth was seen
	Early    bool   // no connect yet: opened by the line about the PTR
}

// Mark sets mark i (modulo 256); it returns false when it was set already.
func (s *Session) Mark(i int) bool {
	i &= 255
	bit := uint64(1) << (i & 63)
	if s.Marks[i>>6]&bit != 0 {
		return false
	}
	s.Marks[i>>6] |= bit
	return true
}

// A message is what is remembered of a queue ID.
type message struct {
	Client  netip.Addr
	Time    int64  // of the client= line
	Session key    // where it came in
	Serial  uint64 // of that session
	Refused bool   // a milter or a check refused or dropped it at its end
}

// fresh says whether the queue ID is still that of the same message at t.
func (m *message) fresh(t int64) bool {
	d := t - m.Time
	return d <= maxQueueAge && d >= -maxQueueAge
}
