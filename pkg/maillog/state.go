package maillog

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
)

// A JoinerState is all that a [Joiner] remembers but for the options of its
// sources, for encoding/gob. Sources are sorted by ID; the other slices stand
// in the order of last use, the longest unused first.
type JoinerState struct {
	Serial                           uint64
	SessionsOut, ScreensOut, MailOut uint64 // evicted
	HostsOut                         uint64
	Sources                          []SourceState
	Sessions, Screens                []SessionState
	Messages                         []MessageState
	Hosts                            []HostState
}

// A SourceState is the last event of a source, as text; Seq is the number of
// its line.
type SourceState struct {
	ID        uint32
	Seq       uint64
	PID       uint32
	Host, Tag []byte
	Message   []byte
}

// A SessionState is one session under its hashed name.
type SessionState struct {
	Key [2]uint64
	Session
}

// A MessageState is one queue ID under its hashed name.
type MessageState struct {
	Key, Session    [2]uint64
	Client          netip.Addr
	Time            int64
	Serial          uint64
	Active, Refused bool
}

// A HostState is whether the latest disconnect of a host had a summary.
type HostState struct {
	Key     [2]uint64
	Summary bool
}

// State returns a copy of what j remembers.
func (j *Joiner) State() JoinerState {
	st := JoinerState{
		Serial:      j.serial,
		SessionsOut: j.sessions.evicted, ScreensOut: j.screens.evicted,
		MailOut: j.messages.evicted, HostsOut: j.hosts.evicted,
		Sessions: sessionStates(j.sessions), Screens: sessionStates(j.screens),
	}
	for id, s := range j.sources {
		if l := &s.last; l.valid {
			st.Sources = append(st.Sources, SourceState{
				ID: id, Seq: l.seq, PID: l.pid, Host: slices.Clone(l.host),
				Tag: slices.Clone(l.tag), Message: slices.Clone(l.msg),
			})
		}
	}
	slices.SortFunc(st.Sources, func(a, b SourceState) int { return int(int64(a.ID) - int64(b.ID)) })
	j.messages.each(func(k key, m *message) {
		st.Messages = append(st.Messages, MessageState{
			Key: k, Session: m.Session, Client: m.Client, Time: m.Time,
			Serial: m.Serial, Active: m.Active, Refused: m.Refused,
		})
	})
	j.hosts.each(func(k key, v *bool) { st.Hosts = append(st.Hosts, HostState{Key: k, Summary: *v}) })
	return st
}

func sessionStates(t *table[Session]) []SessionState {
	var out []SessionState
	t.each(func(k key, s *Session) { out = append(out, SessionState{Key: k, Session: *s}) })
	return out
}

// Restore makes j remember st, and nothing else; the options of its sources
// stay. On an error j is as before.
func (j *Joiner) Restore(st JoinerState) error {
	n := NewJoiner()
	n.serial = st.Serial
	if err := restoreSessions(n.sessions, st.Sessions, st.Serial); err != nil {
		return fmt.Errorf("restore joiner: sessions: %w", err)
	}
	if err := restoreSessions(n.screens, st.Screens, st.Serial); err != nil {
		return fmt.Errorf("restore joiner: postscreen sessions: %w", err)
	}
	for i, m := range st.Messages {
		if !plainAddr(m.Client) || m.Serial == 0 || m.Serial > st.Serial {
			return fmt.Errorf("restore joiner: queue ID %d: no such client or session", i)
		}
		if err := n.messages.restore(m.Key, message{
			Client: m.Client, Time: m.Time, Session: m.Session,
			Serial: m.Serial, Active: m.Active, Refused: m.Refused,
		}); err != nil {
			return fmt.Errorf("restore joiner: queue IDs: %w", err)
		}
	}
	for _, h := range st.Hosts {
		if err := n.hosts.restore(h.Key, h.Summary); err != nil {
			return fmt.Errorf("restore joiner: hosts: %w", err)
		}
	}
	for i, s := range st.Sources {
		if i > 0 && st.Sources[i-1].ID >= s.ID {
			return errors.New("restore joiner: sources are not sorted")
		}
		if len(s.Host)+len(s.Tag)+len(s.Message) > maxLastBytes {
			return fmt.Errorf("restore joiner: source %d: last line too long", s.ID)
		}
	}
	n.sessions.evicted, n.screens.evicted = st.SessionsOut, st.ScreensOut
	n.messages.evicted, n.hosts.evicted = st.MailOut, st.HostsOut
	n.sources = j.sources
	for _, s := range n.sources {
		s.last.valid = false
	}
	for _, s := range st.Sources {
		l := &n.source(s.ID).last
		l.set(s.Seq, &Event{Host: s.Host, Tag: s.Tag, Message: s.Message, PID: s.PID, Kind: KindCustom})
	}
	*j = *n
	return nil
}

func restoreSessions(t *table[Session], in []SessionState, serial uint64) error {
	for i, s := range in {
		if s.Client.IsValid() && !plainAddr(s.Client) || s.Serial == 0 || s.Serial > serial {
			return fmt.Errorf("session %d: bad client or number", i)
		}
		if err := t.restore(s.Key, s.Session); err != nil {
			return err
		}
	}
	return nil
}

// plainAddr reports whether a is an address as [Parse] gives it.
func plainAddr(a netip.Addr) bool {
	return a.IsValid() && a.Zone() == "" && !a.Is4In6()
}

// restore adds a value that must be new.
func (t *table[V]) restore(k key, v V) error {
	if t.len == t.max {
		return fmt.Errorf("more than %d entries", t.max)
	}
	if _, e := t.find(k); e >= 0 {
		return errors.New("two entries of one key")
	}
	*t.put(k) = v
	return nil
}
